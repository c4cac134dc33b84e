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

    /// <summary>As it travels: UTF-8, without a terminator.</summary>
    public byte[] ToBytes() => Encoding.UTF8.GetBytes(root.ToJsonString());

    private static LibxlConfiguration Of(JsonNode? node) =>
        node is JsonObject root && root["c_info"] is JsonObject ? new LibxlConfiguration(root) : throw new HypervisorException("That is no domain's configuration: it has no c_info.");

    private static JsonNode? Read(ReadOnlySpan<byte> json)
    {
        try
        {
            return JsonNode.Parse(json);
        }
        catch (JsonException wrong)
        {
            throw new HypervisorException($"That is no domain's configuration: {wrong.Message}", wrong);
        }
    }
}
