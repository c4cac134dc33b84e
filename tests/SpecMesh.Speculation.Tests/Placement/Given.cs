using SpecMesh.Contracts;
using SpecMesh.Speculation.Placement;

namespace SpecMesh.Speculation.Tests.Placement;

/// <summary>Words for the given part of the placement tests.</summary>
internal static class Given
{
    public const long Gibibyte = 1L << 30;

    public static readonly DateTimeOffset Now = new(2026, 5, 1, 12, 0, 0, TimeSpan.Zero);

    public static readonly DateTimeOffset LeaseUntil = Now.AddMinutes(10);

    public static Guid Operation(int number) => new(number, 0, 0, [0, 0, 0, 0, 0, 0, 0, 1]);

    public static HostState Host(string hostId, string domain = "rack-a", long memory = 8 * Gibibyte, params object[] events) =>
        events.Aggregate(HostState.Evolve(HostState.Unknown(hostId), new HostRegistered(hostId, domain, memory)), HostState.Evolve);

    public static Fleet FleetOf(params HostState[] hosts) => hosts.Aggregate(Fleet.Empty, (fleet, host) => fleet.With(host));

    public static SelectTargets Select(
        int operation,
        int count = 1,
        int request = 0,
        string choice = TargetChoice.LeastLoaded,
        long memory = Gibibyte,
        string[]? allowed = null,
        string[]? excluded = null,
        bool acceptFewer = false) =>
        new(Operation(operation), request, count, allowed ?? [], excluded ?? [], memory, choice, acceptFewer, LeaseUntil);

    public static OperationFacts Facts(int operation, params object[] events) =>
        events.Aggregate(OperationFacts.Unknown(Operation(operation)), OperationFacts.Evolve);

    public static SpecOpAccepted Accepted(int operation, string vmId, string? source = null) => new(
        Operation(operation), source is null ? OperationKind.PowerOn : OperationKind.Migrate, vmId, 2, [], new CostLimits(), TargetChoice.Random, "speculative",
        new VmDefinition(Gibibyte), source, 1, 2, Now.AddHours(1), "fingerprint", null);

    public static ReplicasPlanned Planned(int operation, params (int Replica, string HostId)[] replicas) =>
        new(Operation(operation), [.. replicas.Select(r => new PlannedReplica(r.Replica, r.HostId))], new Reason("planned", "For a test."));

    public static SpecOpCompleted Completed(int operation, string vmId, string? winner, string? source = null) => new(
        Operation(operation), vmId, winner is null ? OperationOutcome.Failed : OperationOutcome.Succeeded, winner is null ? null : 0, winner, source,
        new Reason("done", "For a test."));

    public static SpecOpSettled Settled(int operation) => new(Operation(operation), 0, null);

    public static TargetsReserved Reserved(PlacementDecision decision) => Assert.Single(decision.Effects.Select(e => e.Message).OfType<TargetsReserved>());

    public static TargetsRefused Refused(PlacementDecision decision)
    {
        Assert.Empty(decision.EventsByHost);
        return Assert.IsType<TargetsRefused>(Assert.Single(decision.Effects).Message);
    }
}
