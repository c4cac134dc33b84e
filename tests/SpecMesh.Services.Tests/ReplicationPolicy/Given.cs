using SpecMesh.Contracts;

namespace SpecMesh.Services.Tests.ReplicationPolicy;

/// <summary>Words for the given part of the tests: operations and machines as their event streams hold them.</summary>
internal static class Given
{
    public const long Memory = 16 << 20;
    public const int Epoch = 1;

    /// <summary>Version of a machine's event stream after <see cref="MovingVm"/>.</summary>
    public const long OpenVersion = 5;

    public static readonly Reason Why = new("test", "For a test.");

    public static VmDefinition Vm { get; } = new(Memory, 0, 7);

    public static string NewVm() => "vm-" + Guid.NewGuid().ToString("N")[..12];

    /// <summary>A machine that was powered on at <c>source</c> and runs there.</summary>
    public static (string Stream, object[] Events) RunningVm(string vmId)
    {
        Guid powerOn = Guid.NewGuid();
        return (EventStreams.OfVm(vmId),
        [
            new VmDefined(vmId, Vm),
            new OperationOpened(vmId, powerOn, OperationKind.PowerOn, 0),
            new OwnershipTransferred(vmId, powerOn, 0, "source", Epoch, 0, "00"),
            new OperationClosed(vmId, powerOn, OperationOutcome.Succeeded),
        ]);
    }

    /// <summary>A machine that runs on <c>source</c> and that a migration is open on.</summary>
    public static (string Stream, object[] Events) MovingVm(string vmId, Guid operation, params object[] further)
    {
        (string stream, object[] events) = RunningVm(vmId);
        return (stream, [.. events, new OperationOpened(vmId, operation, OperationKind.Migrate, Epoch), .. further]);
    }

    public static SpecOpAccepted Accepted(Guid operation, string vmId, string manager = "speculative") => new(
        operation, OperationKind.Migrate, vmId, manager == "speculative" ? 2 : 1, [], new CostLimits(60), "random", manager, Vm, "source", Epoch, OpenVersion,
        DateTimeOffset.UtcNow.AddHours(1), "fingerprint", "bob");

    public static ReplicasPlanned Planned(Guid operation, params string[] hosts) => new(operation, [.. hosts.Select((host, i) => new PlannedReplica(i, host))], Why);

    public static ReplicaStarted Started(Guid operation, int replica) => new(operation, replica, Epoch, HostOf(replica), "127.0.0.1:7000");

    public static ReplicaFailed Failed(Guid operation, int replica) => new(operation, replica, Epoch, HostOf(replica), Why, ReplicaCounters.None);

    public static ReplicaAborted Aborted(Guid operation, int replica) => new(operation, replica, Epoch, HostOf(replica), Why, ReplicaCounters.None);

    public static OwnershipTransferred Transferred(Guid operation, string vmId) => new(vmId, operation, 0, "h1", Epoch + 1, 0, "ab");

    public static string HostOf(int replica) => replica == 0 ? "h1" : "h2";

    /// <summary>A migration with a replica on <c>h1</c> and one on <c>h2</c>, both started.</summary>
    public static object[] Racing(Guid operation, string vmId) =>
        [Accepted(operation, vmId), Planned(operation, "h1", "h2"), Started(operation, 0), Started(operation, 1)];

    /// <summary>The same, won by <c>h1</c>.</summary>
    public static object[] Won(Guid operation, string vmId) =>
    [
        .. Racing(operation, vmId),
        new ReplicaCommitted(operation, 0, "h1", Epoch + 1, Why),
        Aborted(operation, 1),
        new SpecOpCompleted(operation, vmId, OperationOutcome.Succeeded, 0, "h1", "source", Why),
    ];
}
