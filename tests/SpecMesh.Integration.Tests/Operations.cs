using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using SpecMesh.Contracts;

namespace SpecMesh.Integration.Tests;

/// <summary>Short words for what the tests ask of the gateway.</summary>
internal static class Operations
{
    private static readonly TimeSpan Bound = TimeSpan.FromMinutes(3);

    public static string NewVm() => "it-" + Guid.NewGuid().ToString("N")[..12];

    public static async Task<Guid> SubmitAsync(this HttpClient gateway, OperationRequest request)
    {
        using HttpResponseMessage response = await gateway.PostAsJsonAsync("/v1/operations", request, ContractJson.Options);
        Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync());
        OperationAccepted accepted = (await response.Content.ReadFromJsonAsync<OperationAccepted>(ContractJson.Options))!;
        return accepted.OperationId;
    }

    /// <summary>Follows the operation's server-sent events to their end, and gives the operation as it is then.</summary>
    public static async Task<(OperationView View, IReadOnlyList<string> Aliases)> FollowAsync(this HttpClient gateway, Guid operationId)
    {
        using CancellationTokenSource bound = new(Bound);
        List<string> aliases = [];
        using Stream events = await gateway.GetStreamAsync($"/v1/operations/{operationId}/events", bound.Token);
        using StreamReader reader = new(events);
        while (await reader.ReadLineAsync(bound.Token) is { } line)
        {
            if (line.StartsWith("event: ", StringComparison.Ordinal))
            {
                aliases.Add(line["event: ".Length..]);
            }
        }

        OperationView view = (await gateway.GetFromJsonAsync<OperationView>($"/v1/operations/{operationId}", ContractJson.Options, bound.Token))!;
        return (view, aliases);
    }

    /// <summary>Starts a machine and waits until it runs.</summary>
    public static async Task<OperationView> PowerOnAsync(this HttpClient gateway, string vmId, long memoryBytes = 16 << 20, double writePagesPerSecond = 500, params string[] targets)
    {
        Guid id = await gateway.SubmitAsync(new OperationRequest(
            OperationKind.PowerOn, vmId, 1, targets.Length == 0 ? null : targets, Vm: new VmDefinition(memoryBytes, writePagesPerSecond, 7)));
        (OperationView view, _) = await gateway.FollowAsync(id);
        Assert.Equal(OperationOutcome.Succeeded, view.Outcome);
        return view;
    }

    /// <summary>Posts a body as it is; gives the status, and the problem's field.</summary>
    public static async Task<(int Status, string? Field, string Body)> PostRawAsync(this HttpClient gateway, string body, string? idempotencyKey = null)
    {
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/operations") { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        if (idempotencyKey is not null)
        {
            request.Headers.Add("Idempotency-Key", idempotencyKey);
        }

        using HttpResponseMessage response = await gateway.SendAsync(request);
        string text = await response.Content.ReadAsStringAsync();
        string? field = response.Content.Headers.ContentType?.MediaType == "application/problem+json"
            && JsonDocument.Parse(text).RootElement.TryGetProperty("field", out JsonElement named) ? named.GetString() : null;
        return ((int)response.StatusCode, field, text);
    }
}
