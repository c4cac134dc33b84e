namespace SpecMesh.Cli.Up;

/// <summary>Asks a service's readiness address.</summary>
/// <param name="url">It answers 200 when the service is ready.</param>
public sealed class HttpReadiness(string url)
{
    private static readonly HttpClient Client = new(new SocketsHttpHandler { UseProxy = false }) { Timeout = TimeSpan.FromSeconds(5) };

    /// <summary>Null when the service is ready; otherwise what it said instead.</summary>
    public async Task<string?> ProbeAsync(CancellationToken cancellationToken)
    {
        try
        {
            using HttpResponseMessage response = await Client.GetAsync(new Uri(url), cancellationToken);
            return response.IsSuccessStatusCode ? null : $"{url} answers {(int)response.StatusCode} {await response.Content.ReadAsStringAsync(cancellationToken)}";
        }
        catch (HttpRequestException exception)
        {
            return $"{url}: {exception.Message}";
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return $"{url} does not answer";
        }
    }
}
