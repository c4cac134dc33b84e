using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.ServerSentEvents;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using SpecMesh.Cli.Commands;
using SpecMesh.Contracts;

namespace SpecMesh.Cli.Http;

/// <summary>One event of an operation's event stream, as the gateway sends it.</summary>
/// <param name="Version">Position in the event stream, from 1.</param>
/// <param name="Alias">Type of the event: <c>replica_ready</c>.</param>
/// <param name="Data">The event.</param>
public sealed record OperationEvent(long Version, string Alias, JsonElement Data);

/// <summary>The gateway did not take the request at all.</summary>
public sealed class UnreachableException(string message) : CommandException(message);

/// <summary>The gateway's HTTP interface, as the commands use it. Every error becomes a <see cref="CommandException"/> that names the field at fault.</summary>
public sealed class GatewayClient : IDisposable
{
    private static readonly TimeSpan AnswerBound = TimeSpan.FromSeconds(60);
    private static readonly JsonSerializerOptions RequestJson = new(ContractJson.Options) { DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull };

    private readonly HttpClient http;

    /// <param name="gateway">Its address.</param>
    /// <param name="apiKey">The caller's key.</param>
    public GatewayClient(Uri gateway, string apiKey)
    {
        // An event stream stays open for as long as its operation runs, so the bound is set per request.
        http = new HttpClient { BaseAddress = gateway, Timeout = Timeout.InfiniteTimeSpan };
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", apiKey);
    }

    /// <summary>Asks for an operation.</summary>
    /// <param name="request">The operation.</param>
    /// <param name="idempotencyKey">The same key with the same request is the same operation.</param>
    /// <param name="cancellationToken">Ends the waiting for the answer.</param>
    /// <returns>The gateway's answer with the operation's id.</returns>
    public async Task<JsonElement> SubmitAsync(OperationRequest request, string idempotencyKey, CancellationToken cancellationToken)
    {
        using HttpRequestMessage message = new(HttpMethod.Post, "v1/operations") { Content = JsonContent.Create(request, options: RequestJson) };
        message.Headers.Add("Idempotency-Key", idempotencyKey);
        return await SendAsync(message, cancellationToken);
    }

    /// <summary>Gets a resource.</summary>
    /// <param name="path">Path without a leading slash: <c>v1/hosts</c>.</param>
    /// <param name="cancellationToken">Ends the waiting for the answer.</param>
    public async Task<JsonElement> GetAsync(string path, CancellationToken cancellationToken)
    {
        using HttpRequestMessage message = new(HttpMethod.Get, path);
        return await SendAsync(message, cancellationToken);
    }

    /// <summary>Gets a resource that may not be there; null when it is not.</summary>
    public async Task<JsonElement?> FindAsync(string path, CancellationToken cancellationToken)
    {
        using HttpRequestMessage message = new(HttpMethod.Get, path);
        using HttpResponseMessage response = await RequestAsync(message, HttpCompletionOption.ResponseContentRead, cancellationToken);
        if (response.StatusCode == System.Net.HttpStatusCode.NotFound)
        {
            return null;
        }

        await ThrowUnlessSuccessAsync(response, cancellationToken);
        return JsonElement.Parse(await response.Content.ReadAsStringAsync(cancellationToken));
    }

    /// <summary>Asks for a change.</summary>
    /// <param name="path">Path without a leading slash: <c>v1/hosts/host-1/fence</c>.</param>
    /// <param name="request">What is asked for.</param>
    /// <param name="cancellationToken">Ends the waiting for the answer.</param>
    public async Task<JsonElement> PostAsync<T>(string path, T request, CancellationToken cancellationToken)
    {
        using HttpRequestMessage message = new(HttpMethod.Post, path) { Content = JsonContent.Create(request, options: RequestJson) };
        return await SendAsync(message, cancellationToken);
    }

    /// <summary>Asks for an operation's end.</summary>
    public async Task<JsonElement> CancelAsync(Guid operationId, CancellationToken cancellationToken)
    {
        using HttpRequestMessage message = new(HttpMethod.Delete, $"v1/operations/{operationId}");
        return await SendAsync(message, cancellationToken);
    }

    /// <summary>Follows an operation's event stream from a version on, until the gateway ends it.</summary>
    public async IAsyncEnumerable<OperationEvent> EventsAsync(Guid operationId, long afterVersion, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using HttpRequestMessage message = new(HttpMethod.Get, $"v1/operations/{operationId}/events");
        message.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("text/event-stream"));
        if (afterVersion > 0)
        {
            message.Headers.Add("Last-Event-ID", afterVersion.ToString(System.Globalization.CultureInfo.InvariantCulture));
        }

        using HttpResponseMessage response = await RequestAsync(message, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
        await ThrowUnlessSuccessAsync(response, cancellationToken);
        await using Stream stream = await response.Content.ReadAsStreamAsync(cancellationToken);
        await foreach (SseItem<string> item in SseParser.Create(stream).EnumerateAsync(cancellationToken))
        {
            if (item.Data.Length > 0 && long.TryParse(item.EventId, out long version))
            {
                yield return new OperationEvent(version, item.EventType, JsonElement.Parse(item.Data));
            }
        }
    }

    public void Dispose() => http.Dispose();

    private async Task<JsonElement> SendAsync(HttpRequestMessage message, CancellationToken cancellationToken)
    {
        using CancellationTokenSource bound = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        bound.CancelAfter(AnswerBound);
        try
        {
            using HttpResponseMessage response = await RequestAsync(message, HttpCompletionOption.ResponseContentRead, bound.Token);
            await ThrowUnlessSuccessAsync(response, bound.Token);
            string text = await response.Content.ReadAsStringAsync(bound.Token);
            return JsonElement.Parse(text.Length == 0 ? "{}" : text);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new CommandException($"{http.BaseAddress} did not answer within {AnswerBound.TotalSeconds:0} s.");
        }
        catch (JsonException exception)
        {
            throw new CommandException($"{http.BaseAddress} answered something that is not JSON: {exception.Message}");
        }
    }

    private async Task<HttpResponseMessage> RequestAsync(HttpRequestMessage message, HttpCompletionOption completion, CancellationToken cancellationToken)
    {
        try
        {
            return await http.SendAsync(message, completion, cancellationToken);
        }
        catch (HttpRequestException exception)
        {
            throw new UnreachableException($"{http.BaseAddress} cannot be reached: {exception.Message}");
        }
    }

    private static async Task ThrowUnlessSuccessAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        if (!response.IsSuccessStatusCode)
        {
            throw new CommandException(Problem.Describe((int)response.StatusCode, await response.Content.ReadAsStringAsync(cancellationToken)));
        }
    }
}
