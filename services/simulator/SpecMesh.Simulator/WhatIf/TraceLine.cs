using System.Globalization;
using System.Text.Json;

namespace SpecMesh.Simulator.WhatIf;

/// <summary>A field that a trace has wrong.</summary>
/// <param name="field">Its name.</param>
/// <param name="detail">What is wrong with it.</param>
internal sealed class TraceFieldException(string field, string detail) : Exception($"{field}: {detail}");

/// <summary>One JSON object of a trace, whose fields are asked for by name; what is missing, of another type or unknown is refused by its name.</summary>
internal readonly struct TraceLine
{
    private readonly JsonElement json;
    private readonly string path;

    public TraceLine(JsonElement json, string path, params ReadOnlySpan<string> known)
    {
        this.json = json;
        this.path = path;
        if (json.ValueKind != JsonValueKind.Object)
        {
            throw new TraceFieldException(path.TrimEnd('.'), "is not a JSON object.");
        }

        HashSet<string> seen = [];
        foreach (JsonProperty property in json.EnumerateObject())
        {
            if (!known.Contains(property.Name))
            {
                throw new TraceFieldException(path + property.Name, "there is no such field.");
            }

            if (!seen.Add(property.Name))
            {
                throw new TraceFieldException(path + property.Name, "is there twice.");
            }
        }
    }

    public bool Has(string name) => json.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null;

    public string Text(string name) => Needed(name) is { ValueKind: JsonValueKind.String } value && value.GetString() is { Length: > 0 } text
        ? text
        : throw new TraceFieldException(path + name, "is not a text.");

    public long Whole(string name, long least) => Needed(name) is { ValueKind: JsonValueKind.Number } value && value.TryGetInt64(out long number) && number >= least
        ? number
        : throw new TraceFieldException(path + name, string.Create(CultureInfo.InvariantCulture, $"is not a whole number of at least {least}."));

    /// <summary>A time with its offset, as seconds since the Unix epoch.</summary>
    public double Seconds(string name) => Needed(name) is { ValueKind: JsonValueKind.String } value && value.TryGetDateTimeOffset(out DateTimeOffset time)
        ? (time - DateTimeOffset.UnixEpoch).TotalSeconds
        : throw new TraceFieldException(path + name, "is not a time like 2026-03-01T12:00:00.5Z.");

    public T Choice<T>(string name) where T : struct, Enum
    {
        string text = Text(name);
        return Enum.GetNames<T>().Contains(text, StringComparer.OrdinalIgnoreCase)
            ? Enum.Parse<T>(text, ignoreCase: true)
            : throw new TraceFieldException(path + name, $"'{text}' is none of {string.Join(", ", Enum.GetNames<T>())}.");
    }

    public IReadOnlyList<JsonElement> List(string name) => Needed(name) is { ValueKind: JsonValueKind.Array } value && value.GetArrayLength() > 0
        ? [.. value.EnumerateArray()]
        : throw new TraceFieldException(path + name, "is not a list with at least one entry.");

    public void Refuse(string name, string detail) => throw new TraceFieldException(path + name, detail);

    private JsonElement Needed(string name) => json.TryGetProperty(name, out JsonElement value) ? value : throw new TraceFieldException(path + name, "is missing.");
}
