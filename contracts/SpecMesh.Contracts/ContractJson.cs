using System.Text.Json;
using System.Text.Json.Serialization;

namespace SpecMesh.Contracts;

/// <summary>
/// The one JSON form of every contract, on the bus, over HTTP and in the event store. In Marten's terms:
/// <c>UseSystemTextJsonForSerialization(EnumStorage.AsString, Casing.CamelCase)</c>.
/// </summary>
public static class ContractJson
{
    /// <summary>For messages and stored events: unknown fields are skipped, because contracts grow by addition only.</summary>
    public static JsonSerializerOptions Options { get; } = Create(JsonUnmappedMemberHandling.Skip);

    /// <summary>For requests from outside: an unknown field is an error, because it is a wish that would be ignored.</summary>
    public static JsonSerializerOptions Strict { get; } = Create(JsonUnmappedMemberHandling.Disallow);

    private static JsonSerializerOptions Create(JsonUnmappedMemberHandling unmapped)
    {
        JsonSerializerOptions options = new()
        {
            PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
            UnmappedMemberHandling = unmapped,
            MaxDepth = 32,
        };
        options.Converters.Add(new JsonStringEnumConverter(namingPolicy: null, allowIntegerValues: false));
        options.MakeReadOnly(populateMissingResolver: true);
        return options;
    }
}
