using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace SpecMesh.Hypervisors.Xen.Format;

/// <summary>A domain's configuration as libxl keeps it, in JSON. What is not named here is passed on as it is.</summary>
public sealed class LibxlConfiguration
{
    private readonly JsonObject root;

    private LibxlConfiguration(JsonObject root) => this.root = root;

    /// <summary>Name of the domain.</summary>
    public string Name => Created["name"]?.GetValue<string>() ?? "";

    /// <summary>Id of the machine; it stays the same on every host.</summary>
    public Guid Uuid => Created["uuid"] is { } uuid ? Guid.Parse(uuid.GetValue<string>()) : Guid.Empty;

    /// <summary>Kind of the domain: <c>pvh</c>, <c>hvm</c> or <c>pv</c>.</summary>
    public string Type => Created["type"]?.GetValue<string>() ?? "";

    /// <summary>Most memory that the domain can have, in KiB.</summary>
    public long MaxMemoryKb => root["b_info"]?["max_memkb"]?.GetValue<long>() ?? 0;

    /// <summary>Memory that the domain is to have now, in KiB.</summary>
    public long TargetMemoryKb => root["b_info"]?["target_memkb"]?.GetValue<long>() ?? MaxMemoryKb;

    /// <summary>Most processors that the domain can have.</summary>
    public int MaxProcessors => root["b_info"]?["max_vcpus"]?.GetValue<int>() ?? 1;

    /// <summary>Parts that a domain from another host may have: nothing that reaches for devices or programs of this host by another way than an ordinary domain's disks and networks.</summary>
    private static readonly string[] Allowed =
        ["c_info", "b_info", "disks", "nics", "vfbs", "vkbs", "channels", "on_poweroff", "on_reboot", "on_watchdog", "on_crash", "on_soft_reset"];

    private static readonly string[] Kinds = ["disks", "nics", "vfbs", "vkbs", "channels"];

    /// <summary>Programs of the host that a domain may name. Those of type pvh need none.</summary>
    private static readonly string[] Programs = ["device_model", "stubdomain_kernel", "stubdomain_ramdisk", "bootloader"];

    private JsonObject Created => (JsonObject)root["c_info"]!;

    /// <summary>Reads a configuration.</summary>
    /// <exception cref="HypervisorException">It is none.</exception>
    public static LibxlConfiguration Parse(ReadOnlySpan<byte> json) => Of(Read(json));

    /// <summary>Reads what <c>xl list -l DOMAIN</c> prints: a list of one domain.</summary>
    /// <exception cref="HypervisorException">It is something else.</exception>
    public static LibxlConfiguration FromList(string printed) =>
        Read(Encoding.UTF8.GetBytes(printed)) is JsonArray { Count: 1 } domains ? Of(domains[0]?["config"]) : throw new HypervisorException("xl list -l did not print one domain.");

    /// <summary>The same domain under another name.</summary>
    public LibxlConfiguration WithName(string name)
    {
        JsonObject renamed = (JsonObject)root.DeepClone();
        renamed["c_info"]!["name"] = name;
        return new LibxlConfiguration(renamed);
    }

    /// <summary>Refuses a domain from another host that this host would not build.</summary>
    /// <param name="vmId">The machine that it must be.</param>
    /// <param name="memoryBytes">Memory of the machine, as it is defined.</param>
    /// <exception cref="HypervisorException">It is of another type, another machine, larger, or wants something of this host that it must not have.</exception>
    public void RequireAcceptable(string vmId, long memoryBytes)
    {
        try
        {
            Require(Type == "pvh", $"it is of type {Type}, and only domains of type pvh are taken");
            Require(ReplicaName.IsOf(Name, vmId), $"it is called {Name}, and not {vmId}");
            Require(Uuid != Guid.Empty, "it has no id");
            string? foreign = root.Where(part => !Allowed.Contains(part.Key) && part.Value is not (null or JsonArray { Count: 0 })).Select(part => part.Key).FirstOrDefault();
            Require(foreign is null, $"it has {foreign}");
            JsonObject built = root["b_info"] as JsonObject ?? throw new HypervisorException("That is no domain's configuration: it has no b_info.");
            string? program = Programs.FirstOrDefault(name => built[name] is not null);
            Require(program is null, $"it names a {program}");
            long kilobytes = built["max_memkb"]?.GetValue<long>() ?? 0;
            Require(kilobytes >= 0 && kilobytes <= (memoryBytes + DataPath.ReplicaIdentity.SlackBytes) >> 10, $"it may grow to {kilobytes} KiB, and the machine has {memoryBytes >> 10}");
            Require(!Devices.Any(NamesForeignScript), "a device of it names a script that is not installed for devices");
        }
        catch (Exception rubbish) when (rubbish is InvalidOperationException or FormatException or ArgumentException)
        {
            throw new HypervisorException($"That is no domain's configuration: {rubbish.Message}", rubbish);
        }
    }

    /// <summary>As it travels: UTF-8, without a terminator.</summary>
    public byte[] ToBytes() => Encoding.UTF8.GetBytes(root.ToJsonString());

    private IEnumerable<JsonNode?> Devices => Kinds.SelectMany(kind => root[kind] is JsonArray devices ? [.. devices] : Array.Empty<JsonNode?>());

    /// <summary>Scripts run as root: only those that are installed for it may be named.</summary>
    private static bool NamesForeignScript(JsonNode? device)
    {
        const string installed = "/etc/xen/scripts/";
        string script = device is JsonObject known && known["script"] is { } named ? named.GetValue<string>() : "";
        return (script.StartsWith(installed, StringComparison.Ordinal) ? script[installed.Length..] : script) is var name && (name.Contains('/') || name.StartsWith('.'));
    }

    private static void Require(bool acceptable, string otherwise)
    {
        if (!acceptable)
        {
            throw new HypervisorException($"The domain is not taken: {otherwise}.");
        }
    }

    private static LibxlConfiguration Of(JsonNode? node) =>
        node is JsonObject root && root["c_info"] is JsonObject ? new LibxlConfiguration(root) : throw new HypervisorException("That is no domain's configuration: it has no c_info.");

    private static JsonNode? Read(ReadOnlySpan<byte> json)
    {
        try
        {
            return JsonNode.Parse(json, documentOptions: new JsonDocumentOptions { AllowDuplicateProperties = false });
        }
        catch (JsonException wrong)
        {
            throw new HypervisorException($"That is no domain's configuration: {wrong.Message}", wrong);
        }
    }
}
