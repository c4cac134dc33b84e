using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace SpecMesh.Hypervisors.Tests.Xen;

/// <summary>
/// The commands of the stand-in <c>xl</c> that save, restore and change domains. A domain's file holds its configuration; what was saved is xl's header, that configuration, and a
/// word that a restored domain shows again. The file <c>mood</c> says what goes wrong.
/// </summary>
internal sealed partial class StandInMachines(string folder)
{
    private const string Magic = "Xen saved domain, xl format\n \0 \r";

    /// <summary>Adds a running domain of type <paramref name="type"/>.</summary>
    public void Add(int id, string name, Guid uuid, string type = "pvh") => Write(id, uuid.ToString(), name, "running", new JsonObject
    {
        ["c_info"] = new JsonObject { ["type"] = type, ["name"] = name, ["uuid"] = uuid.ToString() },
        ["b_info"] = new JsonObject { ["max_vcpus"] = 4, ["max_memkb"] = 81920, ["target_memkb"] = 81920 },
    });

    public int Run(string[] arguments)
    {
        File.AppendAllText(Path.Combine(folder, "log"), string.Join(' ', arguments) + "\n");
        switch (arguments)
        {
            case ["list", "-l", var id]:
                Console.WriteLine(new JsonArray(new JsonObject { ["domid"] = int.Parse(id, null), ["config"] = Domain(id)["config"]!.DeepClone() }).ToJsonString());
                return 0;
            case ["info", "free_memory"]:
                Console.WriteLine(Mood == "full" ? 79 : 4000);
                return 0;
            case ["save", "-c", var id, var file]:
                return Save(Domain(id), file);
            case ["restore", "-p", "-e", var file]:
                return Restore(null, file);
            case ["restore", "-p", "-e", var configuration, var file]:
                return Restore(File.ReadAllText(configuration), file);
            case ["vcpu-set", "--ignore-host", var id, var count]:
                return Set(id, "online", int.Parse(count, null));
            case ["mem-set", var id, var megabytes]:
                return Set(id, "megabytes", int.Parse(megabytes.TrimEnd('m'), null));
            default:
                Console.Error.WriteLine("command not implemented");
                return 1;
        }
    }

    /// <summary>What a domain was told last, or <paramref name="first"/>.</summary>
    public int Told(int id, string what, int first) => Domain($"{id}")[what]?.GetValue<int>() ?? first;

    private string Mood => File.Exists(Path.Combine(folder, "mood")) ? File.ReadAllText(Path.Combine(folder, "mood")) : "";

    private JsonObject Domain(string id) => (JsonObject)JsonNode.Parse(File.ReadAllText(StandInXl.PathOf(folder, int.Parse(id, null))))!;

    private int Set(string id, string what, int value)
    {
        JsonObject domain = Domain(id);
        domain[what] = value;
        File.WriteAllText(StandInXl.PathOf(folder, int.Parse(id, null)), domain.ToJsonString());
        return 0;
    }

    private void Write(int id, string uuid, string? name, string state, JsonNode configuration) => File.WriteAllText(
        StandInXl.PathOf(folder, id),
        new JsonObject { ["uuid"] = uuid, ["name"] = name, ["state"] = state, ["config"] = configuration.DeepClone() }.ToJsonString());

    private int Save(JsonObject domain, string file)
    {
        byte[] configuration = [.. Encoding.UTF8.GetBytes(domain["config"]!.ToJsonString()), 0];
        byte[] header = new byte[52];
        Encoding.ASCII.GetBytes(Magic).CopyTo(header, 0);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(32), 0x01020304);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(36), 3);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(44), configuration.Length + 4);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(48), configuration.Length);
        using FileStream saved = File.Open(file, FileMode.Truncate);
        saved.Write([.. header, .. configuration]);
        saved.Flush();
        if (Mood == "hangs")
        {
            Thread.CurrentThread.Join();
        }

        if (Mood == "fails")
        {
            Console.Error.WriteLine("libxl: error: No space left on device");
            return 1;
        }

        saved.Write("the whole memory"u8);
        return 0;
    }

    private int Restore(string? configuration, string file)
    {
        byte[] saved = File.ReadAllBytes(file);
        int length = BinaryPrimitives.ReadInt32LittleEndian(saved.AsSpan(48));
        JsonNode found = JsonNode.Parse(saved.AsSpan(52, length - 1))!;
        string uuid = configuration is null ? found["c_info"]!["uuid"]!.GetValue<string>() : Last(configuration, "uuid");
        string name = configuration is null ? found["c_info"]!["name"]!.GetValue<string>() : Last(configuration, "name");
        found["c_info"]!["name"] = name;
        found["c_info"]!["uuid"] = uuid;
        if (!saved.AsSpan().EndsWith("the whole memory"u8) || Mood is "fails" or "dies")
        {
            // One that reports a failure takes its own domain down; one that is killed does not.
            if (Mood == "dies")
            {
                Write(9, uuid, null, "building", found);
            }

            Console.Error.WriteLine("libxl: error: restoring domain: cannot (re-)build domain");
            return 1;
        }

        Write(9, uuid, name, "paused", found);
        return 0;
    }

    /// <summary>Of two settings of one name xl takes the later.</summary>
    private static string Last(string configuration, string name) =>
        Setting().Matches(configuration).Last(match => match.Groups[1].Value == name).Groups[2].Value;

    [GeneratedRegex("""^(\w+)\s*=\s*"([^"]*)"\s*$""", RegexOptions.Multiline)]
    private static partial Regex Setting();
}
