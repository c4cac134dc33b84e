using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.Protocol.Tests.Hosts;
using SpecMesh.Speculation.Placement;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Protocol.Tests.Checks;

/// <summary>What must be true some time after the faults have ended. R7: every operation has its outcome and every machine runs where its owner is. R8: nothing is left behind.</summary>
internal static class EndChecks
{
    /// <summary>The first thing that is not so yet; null when everything is.</summary>
    public static (string Rule, string What)? FirstProblem(Cluster cluster) =>
        Operations(cluster) ?? Machines(cluster) ?? Leftovers(cluster) ?? Reservations(cluster);

    private static (string, string)? Operations(Cluster cluster)
    {
        if (cluster.Workload.Unanswered > 0)
        {
            return ("R7", $"{cluster.Workload.Unanswered} requests are not answered");
        }

        foreach (Guid operation in cluster.Workload.Operations)
        {
            SpecOpPhase phase = cluster.Truth.Operations.GetValueOrDefault(operation);
            if (phase is not (SpecOpPhase.Settled or SpecOpPhase.Refused))
            {
                return ("R7", $"operation {operation} has not ended but is {phase}");
            }
        }

        return null;
    }

    private static (string, string)? Machines(Cluster cluster)
    {
        foreach (OwnershipView view in cluster.Truth.Views)
        {
            if (view.OpenOperationId is { } open)
            {
                return ("R7", $"{view.VmId} is still in operation {open}");
            }

            List<Guest> guests = [.. cluster.Hosts.SelectMany(host => host.Guests).Where(guest => guest.VmId == view.VmId)];
            if (guests.Find(guest => !cluster.Truth.IsOwners(guest)) is { } stray)
            {
                return ("R8", $"{stray.Host.Id} holds a guest of {view.VmId}, {stray.State}, which {view.OwnerHostId ?? "nobody"} owns");
            }

            bool runs = guests.Count == 1 && guests[0].State == GuestState.Running;
            if (view.OwnerHostId is not null && !runs)
            {
                return ("R7", $"{view.VmId} does not run on {view.OwnerHostId}, which owns it");
            }
        }

        return null;
    }

    private static (string, string)? Leftovers(Cluster cluster)
    {
        foreach (SimulatedHost host in cluster.Hosts)
        {
            if (host.LostAt is not null && cluster.Truth.IsFenced(host.Id))
            {
                continue;
            }

            if (host.Agent is not { Takes: true } agent)
            {
                return ("R7", $"the agent of {host.Id} has not recovered");
            }

            if (agent.Sources.Count + agent.Targets.Count + agent.Reports.Count > 0)
            {
                return ("R8", $"the agent of {host.Id} still has {agent.Sources.Count} sources, {agent.Targets.Count} targets and {agent.Reports.Count} reports to see to");
            }

            if (host.Journal.Count > 0)
            {
                return ("R8", $"the journal of {host.Id} holds {host.Journal}");
            }
        }

        Store.OutboxRow? row = cluster.Store.Waiting.FirstOrDefault();
        return row is not null ? ("R8", $"an outbox holds {row.Message.Message}, due {row.DueAt:O}")
            : cluster.Broker.Count > cluster.Hosts.Where(host => host.LostAt is not null).Sum(host => cluster.Broker.WaitingIn(host.Queue))
                ? ("R8", $"the broker holds {cluster.Broker.Count} messages")
            : null;
    }

    private static (string, string)? Reservations(Cluster cluster)
    {
        foreach (SimulatedHost host in cluster.Hosts)
        {
            HostState state = HostState.Unknown(host.Id);
            foreach (StoredEvent stored in cluster.Store.Read(EventStreams.OfHost(host.Id), 0, int.MaxValue))
            {
                state = HostState.Evolve(state, stored.Data);
            }

            if (state.Reservations.Count > 0)
            {
                return ("R8", $"{host.Id} is still reserved for {string.Join(", ", state.Reservations.Keys)}");
            }

            if (host.LostAt is not null)
            {
                // Its allocations end with the first beat after its repair.
                continue;
            }

            IEnumerable<string> living = host.Guests.Where(guest => guest.State == GuestState.Running).Select(guest => guest.VmId).Order(StringComparer.Ordinal);
            if (!living.SequenceEqual(state.Allocations.Keys))
            {
                return ("R8", $"{host.Id} has memory allocated for {string.Join(", ", state.Allocations.Keys)}, and {string.Join(", ", living)} live there");
            }
        }

        return null;
    }
}
