using System.Globalization;
using System.Text.Json;
using SpecMesh.Contracts;
using SpecMesh.EventStore;

namespace SpecMesh.ReplicationPolicy;

/// <summary>
/// <c>GET /v1/operations/{id}/events</c>: the operation's event stream as server-sent events (WHATWG HTML, section 9.2), from the beginning or after <c>Last-Event-ID</c>,
/// until the operation is settled. <c>id</c> is the version, <c>event</c> the alias, <c>data</c> the record. A reader that comes back after the last of them gets 204, which
/// ends its coming back.
/// </summary>
public static class OperationEvents
{
    private const int PageSize = 500;
    private static readonly TimeSpan LongestWait = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan KeepAlive = TimeSpan.FromSeconds(15);

    public static void MapOperationEvents(this IEndpointRouteBuilder app) => app.MapGet("/v1/operations/{id:guid}/events", HandleAsync);

    private static async Task HandleAsync(Guid id, HttpContext http, IEventStore store, EventTypes types, TimeProvider time, IHostApplicationLifetime lifetime)
    {
        string last = http.Request.Headers["Last-Event-ID"].ToString();
        long version = 0;
        if (last.Length > 0 && !long.TryParse(last, NumberStyles.None, CultureInfo.InvariantCulture, out version))
        {
            await NoSuchEvent().ExecuteAsync(http);
            return;
        }

        string stream = EventStreams.OfOperation(id);
        IReadOnlyList<StoredEvent> from = await store.ReadStreamAsync(stream, Math.Max(0, version - 1), 2, http.RequestAborted);
        if (from.Count == 0)
        {
            bool known = version > 0 && (await store.ReadStreamAsync(stream, 0, 1, http.RequestAborted)).Count > 0;
            await (known ? NoSuchEvent() : ReadOperations.NotFound(id)).ExecuteAsync(http);
            return;
        }

        if (version > 0 && from.Count == 1 && IsLast(from[0]))
        {
            http.Response.StatusCode = StatusCodes.Status204NoContent;
            return;
        }

        http.Response.ContentType = "text/event-stream";
        http.Response.Headers.CacheControl = "no-store";
        using CancellationTokenSource gone = CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted, lifetime.ApplicationStopping);
        try
        {
            await FollowAsync(http.Response, stream, version, store, types, time, gone.Token);
        }
        catch (OperationCanceledException) when (gone.IsCancellationRequested)
        {
            // The reader left, or the service stops: it comes back with Last-Event-ID.
            return;
        }
    }

    private static async Task FollowAsync(HttpResponse response, string stream, long version, IEventStore store, EventTypes types, TimeProvider time, CancellationToken cancellationToken)
    {
        long written = time.GetTimestamp();
        while (true)
        {
            // Listening begins before reading, so that an append between the two is not slept through.
            Task changed = store.WaitForChangeAsync(LongestWait, cancellationToken);
            IReadOnlyList<StoredEvent> page = await store.ReadStreamAsync(stream, version, PageSize, cancellationToken);
            foreach (StoredEvent stored in page)
            {
                version = stored.Version;
                string data = stored.Data is JsonElement raw ? raw.GetRawText() : types.Write(stored.Data);
                await response.WriteAsync($"id: {version.ToString(CultureInfo.InvariantCulture)}\nevent: {stored.Alias}\ndata: {data}\n\n", cancellationToken);
            }

            if (page.Count is > 0 and < PageSize && IsLast(page[^1]))
            {
                await response.Body.FlushAsync(cancellationToken);
                return;
            }

            if (page.Count > 0 || time.GetElapsedTime(written) > KeepAlive)
            {
                await response.WriteAsync(page.Count > 0 ? "" : ": still here\n\n", cancellationToken);
                await response.Body.FlushAsync(cancellationToken);
                written = time.GetTimestamp();
            }

            if (page.Count < PageSize)
            {
                await changed;
            }
        }
    }

    /// <summary>True when nothing follows for now. A refused request may still be accepted under the same id, so a refusal is the end only where it stands last.</summary>
    private static bool IsLast(StoredEvent stored) => stored.Data is SpecOpSettled or SpecOpRefused;

    private static IResult NoSuchEvent() => SubmitOperation.Problem(
        StatusCodes.Status400BadRequest, "Last-Event-ID", new Reason("invalid", "The last event's id is the version of one of the operation's events."));
}
