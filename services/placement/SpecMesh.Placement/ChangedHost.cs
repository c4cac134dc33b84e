using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.Hosting;
using SpecMesh.Speculation;
using SpecMesh.Speculation.Placement;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Placement;

/// <summary>
/// What an operator does to a host over HTTP: <c>POST /v1/hosts/{hostId}/fence</c>, <c>/maintenance</c> and <c>/reconcile</c>. The same decisions as for the commands on the bus;
/// 200 and 202 mean that it is durable.
/// </summary>
internal static class ChangedHost
{
    public static void MapChangedHost(this IEndpointRouteBuilder endpoints)
    {
        endpoints.MapPost("/v1/hosts/{hostId}/fence", FenceAsync);
        endpoints.MapPost("/v1/hosts/{hostId}/maintenance", MaintainAsync);
        endpoints.MapPost("/v1/hosts/{hostId}/reconcile", ReconcileAsync);
    }

    private static Task<IResult> FenceAsync(string hostId, HostFenceRequest? body, HttpContext http, CancellationToken cancellationToken)
    {
        if (body?.Confirm != hostId)
        {
            return Task.FromResult(Problem(StatusCodes.Status400BadRequest, "confirm", new Reason("not-confirmed", $"Say that it is dead by its name: \"confirm\": \"{hostId}\".")));
        }

        FenceHost command = new(hostId, GatewayCredential.ClientOf(http.Request));
        return ChangeAsync(http, hostId, (host, view) => HostDecider.Decide(host, command, view.Suspected.GetValueOrDefault(hostId)), cancellationToken);
    }

    private static Task<IResult> MaintainAsync(string hostId, HostMaintenanceRequest? body, HttpContext http, CancellationToken cancellationToken)
    {
        if (body?.InMaintenance is not { } inMaintenance)
        {
            return Task.FromResult(Problem(StatusCodes.Status400BadRequest, "inMaintenance", new Reason("required", "Say whether the host is in maintenance: true or false.")));
        }

        SetHostMaintenance command = new(hostId, inMaintenance, GatewayCredential.ClientOf(http.Request));
        return ChangeAsync(http, hostId, (host, _) => (HostDecider.Decide(host, command), null), cancellationToken);
    }

    private static Task<IResult> ReconcileAsync(string hostId, HostReconcileRequest? body, HttpContext http, CancellationToken cancellationToken)
    {
        ReconcileHost command = new(hostId, body?.NothingUnknown ?? false);
        return ChangeAsync(
            http,
            hostId,
            (host, _) =>
            {
                // Each reservation is looked at as if its lease had lapsed: it stays while its operation needs it.
                IEnumerable<Effect> leases = host.Reservations.Keys.Select(operation => new Effect(new ReservationDeadline(hostId, operation)));
                return (new Decision([], [new Effect(command, hostId), .. leases]), null);
            },
            cancellationToken);
    }

    private static async Task<IResult> ChangeAsync(
        HttpContext http, string hostId, Func<HostState, HostsView, (Decision Decision, Reason? Refusal)> decide, CancellationToken cancellationToken)
    {
        IServiceProvider services = http.RequestServices;
        HostsView view = services.GetRequiredService<HostsView>();
        IEventStore store = services.GetRequiredService<IEventStore>();
        while (true)
        {
            UnitOfWork work = new(store, services.GetRequiredService<EventTypes>(), PlacementService.Queue);
            HostState host = SpecOpRules.IsName(hostId)
                ? (await work.LoadAsync(EventStreams.OfHost(hostId), HostState.Unknown(hostId), HostState.Evolve, cancellationToken)).State
                : HostState.Unknown(hostId);
            if (!host.IsRegistered)
            {
                return Problem(StatusCodes.Status404NotFound, "hostId", new Reason("unknown-host", "There is no host of that name."));
            }

            (Decision decision, Reason? refusal) = decide(host, view);
            if (refusal is not null)
            {
                return Problem(StatusCodes.Status409Conflict, "hostId", refusal);
            }

            work.Append(EventStreams.OfHost(hostId), EventStreams.HostType, decision.Events);
            foreach (Effect effect in decision.Effects)
            {
                work.Send(effect.Message, effect.HostId is null ? null : HostQueue.Of(effect.HostId), effect.DueAt);
            }

            try
            {
                await work.CommitAsync(null, cancellationToken);
                return Results.Json(new HostChanged(hostId), ContractJson.Options, statusCode: StatusCodes.Status202Accepted);
            }
            catch (ConcurrencyException)
            {
                // A reservation or a beat came first: the decision is taken again on what it left, so every turn means that the event stream has grown.
                Log.HostChangeRepeated(services.GetRequiredService<ILogger<HostsView>>(), hostId);
            }
            catch (Exception error) when (StoreOutage.Is(error))
            {
                http.Response.Headers.RetryAfter = "1";
                return Problem(StatusCodes.Status503ServiceUnavailable, "", new Reason("store-unavailable", "The event store cannot be reached now; ask again."));
            }
        }
    }

    private static IResult Problem(int status, string field, Reason reason) => Results.Problem(
        statusCode: status,
        title: reason.Detail,
        type: $"urn:specmesh:problem:{reason.Code}",
        extensions: new Dictionary<string, object?> { ["field"] = field, ["code"] = reason.Code });
}
