using System.Collections.Immutable;
using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.Hosting;
using SpecMesh.Speculation;
using SpecMesh.Speculation.Placement;

namespace SpecMesh.Placement;

/// <summary>What every use case does around its decision: load, and put what was decided into the unit of work.</summary>
internal static class PlacementWork
{
    /// <summary>All hosts as they are recorded now.</summary>
    public static async Task<Fleet> LoadFleetAsync(this HandlerContext context, CancellationToken cancellationToken)
    {
        await context.TakeTurnAsync(cancellationToken);
        HostsView view = await context.ViewAsync(cancellationToken);
        return await context.LoadHostsAsync(view.Hosts.Keys, cancellationToken);
    }

    /// <summary>
    /// Some hosts as they are recorded now; those that nobody ever heard of are left out. From here on the message has its turn, so other event streams are loaded before.
    /// </summary>
    public static async Task<Fleet> LoadHostsAsync(this HandlerContext context, IEnumerable<string> hostIds, CancellationToken cancellationToken)
    {
        await context.TakeTurnAsync(cancellationToken);
        HostsView view = await context.ViewAsync(cancellationToken);
        ImmutableSortedDictionary<string, Loaded<HostState>> known = view.Hosts;
        Fleet fleet = Fleet.Empty with { Suspected = view.Suspected, Outcomes = view.Outcomes };
        foreach (string hostId in hostIds.Distinct(StringComparer.Ordinal).Where(known.ContainsKey))
        {
            fleet = fleet.With((await context.Work.LoadAsync(EventStreams.OfHost(hostId), known[hostId], HostState.Evolve, cancellationToken)).State);
        }

        return fleet;
    }

    /// <summary>
    /// True when one of the hosts is reserved for the operation. Most messages that end a reservation find that another one has ended it, and need not read the operation.
    /// </summary>
    public static bool IsHeldFor(this Fleet fleet, Guid operationId) => fleet.Hosts.Values.Any(host => host.Reservations.ContainsKey(operationId));

    /// <summary>One host as it is recorded now, known or not.</summary>
    public static async Task<HostState> LoadHostAsync(this HandlerContext context, string hostId, CancellationToken cancellationToken)
    {
        await context.TakeTurnAsync(cancellationToken);
        HostsView view = context.Services.GetRequiredService<HostsView>();
        Loaded<HostState> earlier = view.Hosts.GetValueOrDefault(hostId) ?? new Loaded<HostState>(HostState.Unknown(hostId), 0);
        return (await context.Work.LoadAsync(EventStreams.OfHost(hostId), earlier, HostState.Evolve, cancellationToken)).State;
    }

    /// <summary>What earlier operations leave behind for the number of replicas. From here on the message has its turn.</summary>
    public static async Task<SpeculationState> LoadSpeculationAsync(this HandlerContext context, CancellationToken cancellationToken)
    {
        await context.TakeTurnAsync(cancellationToken);
        HostsView view = await context.ViewAsync(cancellationToken);
        return (await context.Work.LoadAsync(EventStreams.Speculation, view.Speculation, SpeculationState.Evolve, cancellationToken)).State;
    }

    /// <summary>What is recorded of an operation. Its event stream belongs to replication-policy and is only read here.</summary>
    public static async Task<OperationFacts> LoadOperationAsync(this HandlerContext context, Guid operationId, CancellationToken cancellationToken)
    {
        context.Work.CorrelationId = operationId.ToString();
        return (await context.Work.LoadAsync(EventStreams.OfOperation(operationId), OperationFacts.Unknown(operationId), OperationFacts.Evolve, cancellationToken)).State;
    }

    /// <summary>What is recorded of a machine. Its event stream belongs to replication-policy and is only read here.</summary>
    public static async Task<MachineFacts> LoadMachineAsync(this HandlerContext context, string vmId, CancellationToken cancellationToken) =>
        (await context.Work.LoadAsync(EventStreams.OfVm(vmId), MachineFacts.Unknown(vmId), MachineFacts.Evolve, cancellationToken)).State;

    /// <summary>Puts a decision into the unit of work: all hosts' events and all messages are committed together.</summary>
    /// <param name="context">The message's context.</param>
    /// <param name="decision">What was decided.</param>
    /// <param name="decidedFrom">The message, kept beside the events so that the decision can be taken again.</param>
    public static void Do(this HandlerContext context, PlacementDecision decision, object decidedFrom)
    {
        foreach ((string hostId, IReadOnlyList<object> events) in decision.EventsByHost)
        {
            context.Work.Append(EventStreams.OfHost(hostId), EventStreams.HostType, events, () => decidedFrom);
            foreach (ReservationReleased released in events.OfType<ReservationReleased>())
            {
                context.Work.TakeBack(LeaseOf(released.HostId, released.OperationId));
            }
        }

        if (decision.Speculation is { } speculation)
        {
            context.Work.Append(EventStreams.Speculation, EventStreams.SpeculationType, [speculation.Decided], () => speculation.Question);
        }

        context.Send(decision.Effects);
    }

    /// <summary>Puts a decision about one host into the unit of work.</summary>
    public static void Do(this HandlerContext context, string hostId, Decision decision, object decidedFrom)
    {
        context.Work.Append(EventStreams.OfHost(hostId), EventStreams.HostType, decision.Events, () => decidedFrom);
        context.Send(decision.Effects);
    }

    private static async Task<HostsView> ViewAsync(this HandlerContext context, CancellationToken cancellationToken)
    {
        HostsView view = context.Services.GetRequiredService<HostsView>();
        await view.EnsureBuiltAsync(context.Services.GetRequiredService<IEventStore>(), cancellationToken);
        return view;
    }

    private static void Send(this HandlerContext context, IReadOnlyList<Effect> effects)
    {
        foreach (Effect effect in effects)
        {
            string? about = effect.Message is ReservationDeadline lease ? LeaseOf(lease.HostId, lease.OperationId) : null;
            context.Work.Send(effect.Message, effect.HostId is null ? null : HostQueue.Of(effect.HostId), effect.DueAt, about);
        }
    }

    /// <summary>What the deadline of a reservation is about. Of this one host: another one may hold a reservation for the operation that whoever releases this one knows nothing of.</summary>
    private static string LeaseOf(string hostId, Guid operationId) => $"{EventStreams.OfHost(hostId)}/{EventStreams.OfOperation(operationId)}";
}
