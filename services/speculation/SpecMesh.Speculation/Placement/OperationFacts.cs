using System.Collections.Immutable;
using SpecMesh.Contracts;

namespace SpecMesh.Speculation.Placement;

/// <summary>How far an operation is, as far as reservations are concerned.</summary>
public enum OperationStanding
{
    /// <summary>No such operation was accepted.</summary>
    Unknown,

    /// <summary>It runs: its replicas need their reservations.</summary>
    Running,

    /// <summary>It has its outcome, but losers may still hold memory.</summary>
    Completed,

    /// <summary>Nothing of it is left but the winner.</summary>
    Settled,
}

/// <summary>What placement needs to know of an operation: a fold of <c>specop-{id}</c>, which replication-policy writes.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Standing">How far it is.</param>
/// <param name="VmId">The machine; null while unknown.</param>
/// <param name="SourceHostId">Host that ran the machine before; null for a power-on.</param>
/// <param name="WinnerHostId">Host that the winner runs on; null without one.</param>
/// <param name="Replicas">Host of every replica that was planned, by the replica's number.</param>
/// <param name="Cleaned">Replicas that have left their hosts.</param>
/// <param name="AnsweredRequests">How many requests for hosts the operation has had answers to; later reservations have not become replicas yet.</param>
public sealed record OperationFacts(
    Guid OperationId,
    OperationStanding Standing,
    string? VmId,
    string? SourceHostId,
    string? WinnerHostId,
    ImmutableSortedDictionary<int, string> Replicas,
    ImmutableHashSet<int> Cleaned,
    int AnsweredRequests)
{
    /// <summary>An operation that nothing is known of.</summary>
    public static OperationFacts Unknown(Guid operationId) =>
        new(operationId, OperationStanding.Unknown, null, null, null, ImmutableSortedDictionary<int, string>.Empty, [], 0);

    /// <summary>True when a replica holds memory on the host, as far as is recorded.</summary>
    public bool HasReplicaOn(string hostId) => Replicas.Any(replica => replica.Value == hostId && !Cleaned.Contains(replica.Key));

    /// <summary>The facts after one more event of <c>specop-{id}</c>.</summary>
    /// <remarks>Another service owns that event stream and adds to it, so events that mean nothing here are passed over.</remarks>
    public static OperationFacts Evolve(OperationFacts facts, object @event) => @event switch
    {
        SpecOpAccepted e => facts with { Standing = OperationStanding.Running, VmId = e.VmId, SourceHostId = e.SourceHostId },
        ReplicasPlanned e => facts with
        {
            Replicas = facts.Replicas.SetItems(e.Replicas.Select(r => KeyValuePair.Create(r.Replica, r.HostId))),
            AnsweredRequests = facts.AnsweredRequests + 1,
        },
        TargetsRefused => facts with { AnsweredRequests = facts.AnsweredRequests + 1 },
        ReplicaCleaned e => facts with { Cleaned = facts.Cleaned.Add(e.Replica) },
        OperationHostFenced e => facts with { Cleaned = facts.Cleaned.Union(facts.Replicas.Where(replica => replica.Value == e.HostId).Select(replica => replica.Key)) },
        SpecOpCompleted e => facts with { Standing = OperationStanding.Completed, WinnerHostId = e.WinnerHostId },
        MachineRecovered e => facts with { WinnerHostId = e.HostId },
        SpecOpSettled => facts with { Standing = OperationStanding.Settled },
        _ => facts,
    };
}
