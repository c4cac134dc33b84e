namespace SpecMesh.Contracts;

/// <summary>Every message and stored event, by its role. The catalogue in <c>contracts/README.md</c> and the samples are tested against it.</summary>
public static class ContractCatalogue
{
    /// <summary>Messages that ask for something; each has one receiver.</summary>
    public static IReadOnlyList<Type> Commands { get; } =
    [
        typeof(SubmitSpecOp), typeof(CancelSpecOp), typeof(FenceOperation),
        typeof(SelectTargets), typeof(ReleaseTargets), typeof(SetHostMaintenance), typeof(FenceHost),
        typeof(StartReplica), typeof(ConnectReplica), typeof(AbortReplica), typeof(CommitReplica), typeof(ReleaseSource), typeof(ConfirmReplica), typeof(ReconcileHost),
        typeof(InjectFault),
    ];

    /// <summary>Messages that tell what has happened; anybody may listen.</summary>
    public static IReadOnlyList<Type> Events { get; } =
    [
        typeof(SpecOpAccepted), typeof(SpecOpRefused), typeof(SpecOpCompleted), typeof(SpecOpSettled),
        typeof(TargetsReserved), typeof(TargetsRefused),
        typeof(ReplicaStarted), typeof(ReplicaRoundsReported), typeof(ReplicaProgressed), typeof(ReplicaReady),
        typeof(ReplicaAborted), typeof(ReplicaFailed), typeof(ReplicaCancelled), typeof(ReplicaResumed), typeof(ReplicaCleaned),
        typeof(SourceReleased), typeof(WinnerLost),
        typeof(OwnershipTransferred), typeof(TransferRefused), typeof(OwnershipReleased),
        typeof(HostHeartbeat), typeof(HostSuspected), typeof(HostRecovered), typeof(HostFenced),
    ];

    /// <summary>Messages that a service sends to itself, later.</summary>
    public static IReadOnlyList<Type> Deadlines { get; } =
    [
        typeof(SpecOpDeadline), typeof(ReplicaDeadline), typeof(CleanupDeadline), typeof(RetryDeadline), typeof(HedgeDeadline), typeof(ReservationDeadline), typeof(HeartbeatDeadline),
        typeof(FenceDeadline), typeof(FenceMachine),
    ];

    /// <summary>Everything that the store and the bus may carry.</summary>
    public static IReadOnlyList<Type> All => [.. Commands.Concat(Events).Concat(Deadlines).Concat(StoredEvents).Distinct()];

    /// <summary>Direct calls between an agent and replication-policy, and their answer.</summary>
    public static IReadOnlyList<Type> Calls { get; } =
    [
        typeof(TransferOwnership), typeof(RefuseTransfer), typeof(ReleaseOwnership), typeof(OwnershipAnswer),
    ];

    /// <summary>What event streams hold. The simple name gives the alias in the store, so it is unique and has no digits.</summary>
    public static IReadOnlyList<Type> StoredEvents { get; } =
    [
        typeof(SpecOpAccepted), typeof(SpecOpRefused), typeof(CancelRequested), typeof(ReplicasPlanned), typeof(SpecOpCompleted), typeof(SpecOpSettled),
        typeof(TargetsRefused),
        typeof(ReplicaStarted), typeof(ReplicaRoundCompleted), typeof(ReplicaReady), typeof(ReplicaCommitted),
        typeof(ReplicaAborted), typeof(ReplicaFailed), typeof(ReplicaCancelled), typeof(ReplicaResumed), typeof(ReplicaCleaned),
        typeof(SourceReleased), typeof(WinnerLost), typeof(OperationHostFenced), typeof(MachineRecovered),
        typeof(VmDefined), typeof(OperationOpened), typeof(OwnershipTransferred), typeof(TransferRefused), typeof(OperationClosed),
        typeof(OwnerFenced), typeof(OwnershipReleased),
        typeof(HostRegistered), typeof(HostReserved), typeof(ReservationReleased), typeof(VmAllocated), typeof(VmDeallocated), typeof(HostMaintenanceChanged), typeof(HostFenced),
        typeof(HostSuspected), typeof(HostRecovered), typeof(ReplicaOutcomeCounted),
        typeof(SpeculationDecided),
    ];
}
