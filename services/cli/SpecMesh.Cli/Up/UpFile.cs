using System.Text.Json;

namespace SpecMesh.Cli.Up;

/// <summary>What <c>up.json</c> in the state directory tells other programs about the system that runs. It holds no secrets.</summary>
/// <param name="Pid">Process id of <c>specmesh up</c>.</param>
/// <param name="Gateway">Address of the gateway; null when the topology has none.</param>
/// <param name="ApiKeyFile">File with the key for the gateway.</param>
/// <param name="EnvironmentFile">File with the variables that connect further programs to the bus and the store.</param>
/// <param name="Services">HTTP address of each service that has one, by name.</param>
public sealed record UpFile(int Pid, string? Gateway, string ApiKeyFile, string EnvironmentFile, IReadOnlyDictionary<string, string> Services)
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    /// <summary>Reads the file; null when no system is up in that state directory.</summary>
    /// <exception cref="JsonException">The file is damaged.</exception>
    public static UpFile? Read(string path) => File.Exists(path) ? JsonSerializer.Deserialize<UpFile>(File.ReadAllText(path), Json) : null;

    /// <summary>Writes the file at once.</summary>
    public void Write(string path) => PrivateFiles.Write(path, JsonSerializer.Serialize(this, Json) + "\n");
}
