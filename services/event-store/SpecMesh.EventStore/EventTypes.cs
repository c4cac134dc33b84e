using System.Collections.Frozen;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace SpecMesh.EventStore;

/// <summary>The record types that a store may hold, with Marten's alias for each.</summary>
/// <remarks>Alias rule: Marten's <c>EventNamingStyle.ClassicTypeName</c>, as <c>marten_alias_of_a_type_name</c> in the tests shows it.</remarks>
public sealed partial class EventTypes
{
    private readonly FrozenDictionary<string, Type> byAlias;
    private readonly FrozenDictionary<Type, string> byType;

    /// <param name="types">Stored events and messages.</param>
    /// <param name="json">How records are written; fixed for the life of a database.</param>
    /// <exception cref="ArgumentException">Two types have the same alias.</exception>
    public EventTypes(IEnumerable<Type> types, JsonSerializerOptions json)
    {
        Json = json;
        Dictionary<string, Type> aliases = new(StringComparer.Ordinal);
        foreach (Type type in types.Distinct())
        {
            if (!aliases.TryAdd(AliasOf(type.Name), type))
            {
                throw new ArgumentException($"{type} and {aliases[AliasOf(type.Name)]} both have the alias {AliasOf(type.Name)}.", nameof(types));
            }
        }

        byAlias = aliases.ToFrozenDictionary(StringComparer.Ordinal);
        byType = aliases.ToFrozenDictionary(pair => pair.Value, pair => pair.Key);
    }

    /// <summary>How records are written.</summary>
    public JsonSerializerOptions Json { get; }

    /// <summary>Alias of a registered type.</summary>
    /// <exception cref="ArgumentException">The type is not registered: it would be unreadable later.</exception>
    public string AliasOf(Type type) => byType.TryGetValue(type, out string? alias)
        ? alias
        : throw new ArgumentException($"{type} is not registered with the event store.", nameof(type));

    /// <summary>The record that a stored body holds; the body itself when the alias is not registered here.</summary>
    public object Read(string alias, string body) => byAlias.TryGetValue(alias, out Type? type)
        ? JsonSerializer.Deserialize(body, type, Json) ?? throw new JsonException($"A stored {alias} is the JSON null.")
        : JsonSerializer.Deserialize<JsonElement>(body);

    /// <summary>The JSON body of a record.</summary>
    public string Write(object record) => JsonSerializer.Serialize(record, record.GetType(), Json);

    /// <summary>Marten's classic alias of a type name: <c>ReplicaReady</c> gives <c>replica_ready</c>.</summary>
    public static string AliasOf(string typeName)
    {
        string spaced = WordThenCapital().Replace(BeforeCapitalisedWord().Replace(typeName, "$1 $2"), "$1 $2");
        return spaced.ToLowerInvariant().Replace(' ', '_');
    }

    [GeneratedRegex(@"(\P{Ll})(\P{Ll}\p{Ll})")]
    private static partial Regex BeforeCapitalisedWord();

    [GeneratedRegex(@"(\p{Ll})(\P{Ll})")]
    private static partial Regex WordThenCapital();
}
