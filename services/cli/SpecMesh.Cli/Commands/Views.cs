using System.Text.Json;

namespace SpecMesh.Cli.Commands;

/// <summary>
/// Shows the gateway's answers as tables. The columns are the fields that the answer has, so that a field which is added there appears here.
/// </summary>
public static class Views
{
    /// <summary>The rows of a list: the answer itself, or the one list in it.</summary>
    public static IReadOnlyList<JsonElement> Rows(JsonElement answer)
    {
        JsonElement list = answer.ValueKind == JsonValueKind.Object
            ? answer.EnumerateObject().Select(property => property.Value).FirstOrDefault(value => value.ValueKind == JsonValueKind.Array)
            : answer;
        return list.ValueKind == JsonValueKind.Array ? [.. list.EnumerateArray()] : [];
    }

    /// <summary>Writes a list.</summary>
    public static void List(JsonElement answer, string nothing)
    {
        IReadOnlyList<JsonElement> rows = Rows(answer);
        if (rows.Count == 0)
        {
            Console.WriteLine(nothing);
            return;
        }

        Table(rows);
    }

    /// <summary>Writes one thing: its plain fields first, then each list in it as a table.</summary>
    public static void Detail(JsonElement thing)
    {
        List<JsonProperty> fields = [.. thing.EnumerateObject()];
        Output.Table(["field", "value"], fields.Where(field => !IsTable(field.Value)).Select(field => (IReadOnlyList<string>)[field.Name, Cell(field.Value)]));
        foreach (JsonProperty field in fields.Where(field => IsTable(field.Value)))
        {
            Console.WriteLine(field.Name);
            Table([.. field.Value.EnumerateArray()]);
        }
    }

    /// <summary>One event on one line.</summary>
    public static string Line(JsonElement data) => string.Join(' ', data.EnumerateObject()
        .Where(property => property.Name != "operationId" && property.Value.ValueKind != JsonValueKind.Null)
        .Select(property => $"{property.Name}={Cell(property.Value)}"));

    private static void Table(IReadOnlyList<JsonElement> rows)
    {
        string[] columns = [.. rows.Where(row => row.ValueKind == JsonValueKind.Object).SelectMany(row => row.EnumerateObject().Select(field => field.Name)).Distinct()];
        Output.Table(columns, rows.Select(row => (IReadOnlyList<string>)[.. columns.Select(column => row.TryGetProperty(column, out JsonElement value) ? Cell(value) : "")]));
    }

    private static bool IsTable(JsonElement value) =>
        value.ValueKind == JsonValueKind.Array && value.GetArrayLength() > 0 && value[0].ValueKind == JsonValueKind.Object;

    private static string Cell(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null or JsonValueKind.Undefined => "",
        JsonValueKind.Array => string.Join(',', value.EnumerateArray().Select(Cell)),
        JsonValueKind.Object when value.TryGetProperty("code", out JsonElement code) && value.TryGetProperty("detail", out JsonElement detail) => $"{code} ({detail})",
        JsonValueKind.Object => string.Join(' ', value.EnumerateObject().Select(field => $"{field.Name}={Cell(field.Value)}")),
        _ => value.ToString(),
    };
}
