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
    /// <remarks>Numbers that are not finite are written as <c>"NaN"</c> and <c>"Infinity"</c>: a request that holds one is refused with its field named, and the refusal records it.</remarks>
    public static JsonSerializerOptions Options { get; } = Create(JsonUnmappedMemberHandling.Skip, JsonNumberHandling.AllowNamedFloatingPointLiterals);

    /// <summary>For requests from outside: an unknown field is an error, because it is a wish that would be ignored.</summary>
    public static JsonSerializerOptions Strict { get; } = Create(JsonUnmappedMemberHandling.Disallow, JsonNumberHandling.Strict);

    private static JsonSerializerOptions Create(JsonUnmappedMemberHandling unmapped, JsonNumberHandling numbers)
    {
        JsonSerializerOptions options = new()
        {
            PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
            UnmappedMemberHandling = unmapped,
            NumberHandling = numbers,
            AllowDuplicateProperties = false,
            MaxDepth = 32,
        };
        options.Converters.Add(new JsonStringEnumConverter(namingPolicy: null, allowIntegerValues: false));
        options.MakeReadOnly(populateMissingResolver: true);
        return options;
    }
}
