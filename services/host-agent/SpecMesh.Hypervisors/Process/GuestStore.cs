using System.Text.Json;

namespace SpecMesh.Hypervisors.Process;

/// <summary>Where a guest is, for an agent that starts again. <c>{stateDirectory}/guests/{Name}.json</c>.</summary>
/// <param name="Name">Name of the guest, unique on the host.</param>
/// <param name="Tag">Whose replica it is.</param>
/// <param name="BootId">Boot that the process belongs to.</param>
/// <param name="Pid">Its process.</param>
/// <param name="StartTime">Start of that process, in ticks since boot; with the id it names one process.</param>
/// <param name="MemoryBytes">Bytes of its memory.</param>
/// <param name="MemoryFd">Number of the memory's file in the process.</param>
/// <param name="MemoryAddress">Address of the memory in the process.</param>
/// <param name="ControlFd">Number of the control block's file in the process.</param>
/// <param name="Tracker">Name of its dirty tracker.</param>
internal sealed record GuestRecord(
    string Name,
    GuestTag Tag,
    string BootId,
    int Pid,
    ulong StartTime,
    long MemoryBytes,
    int MemoryFd,
    ulong MemoryAddress,
    int ControlFd,
    string Tracker);

/// <summary>The records of one agent's guests. Each is replaced as a whole, so that a crash leaves the old or the new one.</summary>
internal sealed class GuestStore(string stateDirectory)
{
    private const string Extension = ".json";
    private const string UnfinishedExtension = ".tmp";
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { WriteIndented = true };
    private readonly string folder = Path.Combine(stateDirectory, "guests");
    private readonly Lock gate = new();

    public void Save(GuestRecord record)
    {
        lock (gate)
        {
            CreateFolder();
            string path = PathOf(record.Name);
            File.WriteAllText(path + UnfinishedExtension, JsonSerializer.Serialize(record, Json));
            File.Move(path + UnfinishedExtension, path, overwrite: true);
        }
    }

    public void Remove(string name)
    {
        lock (gate)
        {
            if (Directory.Exists(folder))
            {
                File.Delete(PathOf(name));
            }
        }
    }

    /// <exception cref="HypervisorException">A record cannot be read: a guest may be there that would be forgotten.</exception>
    public IReadOnlyList<GuestRecord> Load()
    {
        lock (gate)
        {
            if (!Directory.Exists(folder))
            {
                return [];
            }

            foreach (string unfinished in Directory.GetFiles(folder, "*" + UnfinishedExtension))
            {
                File.Delete(unfinished);
            }

            return [.. Directory.GetFiles(folder, "*" + Extension).Order(StringComparer.Ordinal).Select(Parse).OfType<GuestRecord>()];
        }
    }

    /// <returns>Null when the record has been removed since it was listed: its guest is gone.</returns>
    private static GuestRecord? Parse(string path)
    {
        try
        {
            return JsonSerializer.Deserialize<GuestRecord>(File.ReadAllText(path), Json)
                ?? throw new HypervisorException($"The guest record {path} is empty.");
        }
        catch (FileNotFoundException)
        {
            return null;
        }
        catch (JsonException e)
        {
            throw new HypervisorException($"The guest record {path} cannot be read: {e.Message}", e);
        }
    }

    private string PathOf(string name) => Path.Combine(folder, name + Extension);

    /// <summary>The records hold nothing secret, but whoever may replace one decides which process is taken for a guest.</summary>
    private void CreateFolder()
    {
        if (OperatingSystem.IsLinux())
        {
            Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
    }
}
