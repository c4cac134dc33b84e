using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using SpecMesh.Contracts;

namespace SpecMesh.Services.Tests.ReplicationPolicy;

/// <summary>What the service answered, as the tests compare it.</summary>
/// <param name="Status">HTTP status.</param>
/// <param name="Field">The problem's field; null where the answer is no problem, or names none.</param>
/// <param name="Body">The body.</param>
internal sealed record Answer(int Status, string? Field, string Body)
{
    public override string ToString() => $"{Status} {Field}: {Body}";
}

/// <summary>Short words for what the tests ask over HTTP.</summary>
internal static class Answers
{
    public static async Task<Answer> PostAsync(this HttpClient http, string body, string? key = null, string mediaType = "application/json")
    {
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/operations") { Content = new StringContent(body, Encoding.UTF8, mediaType) };
        if (key is not null)
        {
            request.Headers.TryAddWithoutValidation("Idempotency-Key", key);
        }

        return await http.AnswerAsync(request);
    }

    public static async Task<Answer> GetAnswerAsync(this HttpClient http, string path, params (string Name, string Value)[] headers)
    {
        using HttpRequestMessage request = new(HttpMethod.Get, path);
        foreach ((string name, string value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        return await http.AnswerAsync(request);
    }

    public static async Task<Answer> DeleteAnswerAsync(this HttpClient http, string path)
    {
        using HttpRequestMessage request = new(HttpMethod.Delete, path);
        return await http.AnswerAsync(request);
    }

    /// <summary>Posts a contract to an ownership call, or anything else that is to be read as one.</summary>
    public static async Task<Answer> CallAsync<T>(this HttpClient http, string path, T body)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, path) { Content = JsonContent.Create(body, options: ContractJson.Options) };
        return await http.AnswerAsync(request);
    }

    public static T As<T>(this Answer answer) => JsonSerializer.Deserialize<T>(answer.Body, ContractJson.Options)!;

    private static async Task<Answer> AnswerAsync(this HttpClient http, HttpRequestMessage request)
    {
        using HttpResponseMessage response = await http.SendAsync(request);
        string body = await response.Content.ReadAsStringAsync();
        string? field = response.Content.Headers.ContentType?.MediaType == "application/problem+json"
            && JsonDocument.Parse(body).RootElement.TryGetProperty("field", out JsonElement named) ? named.GetString() : null;
        return new Answer((int)response.StatusCode, field, body);
    }
}
