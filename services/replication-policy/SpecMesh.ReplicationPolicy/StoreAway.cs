using System.Globalization;
using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.Hosting;

namespace SpecMesh.ReplicationPolicy;

/// <summary>A caller that comes while the event store is away, or that lost every race for an event stream, is told to come again: 503 with <c>Retry-After</c>, never 500.</summary>
internal static class StoreAway
{
    private const int RetrySeconds = 1;

    public static async ValueTask<object?> AnswerAsync(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        try
        {
            return await next(context);
        }
        catch (Exception error) when (error is ConcurrencyException || StoreOutage.Is(error))
        {
            HttpContext http = context.HttpContext;
            Log.StoreAway(http.RequestServices.GetRequiredService<ILogger<OperationDirectory>>(), http.Request.Path, error);
            if (http.Response.HasStarted)
            {
                // Half an answer is out already. Only a broken connection tells that it is not all.
                http.Abort();
                return Results.Empty;
            }

            http.Response.Headers.RetryAfter = RetrySeconds.ToString(CultureInfo.InvariantCulture);
            return SubmitOperation.Problem(StatusCodes.Status503ServiceUnavailable, "", new Reason("store-unavailable", "The event store cannot be reached now; ask again."));
        }
    }
}
