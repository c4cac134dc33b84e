using System.Text;
using System.Text.Json;

namespace SpecMesh.Cli.Http;

/// <summary>An error answer in the form of RFC 9457 (problem details), put into words.</summary>
public static class Problem
{
    /// <summary>One line for the problem and one for each field at fault.</summary>
    /// <param name="status">HTTP status.</param>
    /// <param name="body">The answer's body; where it is no problem document, its beginning is shown as it is.</param>
    public static string Describe(int status, string body)
    {
        JsonElement problem;
        try
        {
            problem = JsonElement.Parse(body);
        }
        catch (JsonException)
        {
            return $"{status} {body[..Math.Min(body.Length, 300)]}".TrimEnd();
        }

        if (problem.ValueKind != JsonValueKind.Object)
        {
            return $"{status} {body[..Math.Min(body.Length, 300)]}";
        }

        StringBuilder text = new();
        string? detail = Text(problem, "detail");
        text.Append(status).Append(' ').Append(Text(problem, "title") ?? "refused");
        if (detail is not null)
        {
            text.Append(": ").Append(detail);
        }

        if (Text(problem, "field") is { Length: > 0 } field)
        {
            text.Append("\n  field ").Append(field);
        }

        if (problem.TryGetProperty("errors", out JsonElement errors) && errors.ValueKind == JsonValueKind.Object)
        {
            foreach (JsonProperty error in errors.EnumerateObject())
            {
                IEnumerable<string> messages = error.Value.ValueKind == JsonValueKind.Array ? error.Value.EnumerateArray().Select(e => e.ToString()) : [error.Value.ToString()];
                text.Append("\n  field ").Append(error.Name).Append(": ").AppendJoin(' ', messages);
            }
        }

        return text.ToString();
    }

    private static string? Text(JsonElement problem, string name) =>
        problem.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
