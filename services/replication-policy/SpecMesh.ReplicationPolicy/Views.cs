using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.ReplicationPolicy;

/// <summary>Folds as HTTP shows them.</summary>
internal static class Views
{
    public static OperationView Of(SpecOpState state)
    {
        SpecOpAccepted? accepted = state.Accepted;
        SpecOpCompleted? completed = state.Completed;
        return new OperationView(
            state.OperationId,
            accepted?.Kind,
            accepted?.VmId ?? state.Refused?.VmId ?? "",
            state.Phase.ToString(),
            completed?.Outcome,
            completed?.Reason ?? state.Refused?.Reason,
            state.Refused?.Field,
            accepted?.SourceHostId,
            completed?.WinnerReplica,
            completed?.WinnerHostId,
            accepted?.Sq ?? 0,
            accepted?.Manager,
            accepted?.TargetChoice,
            accepted?.DeadlineAt,
            state.Source?.DowntimeMs,
            state.Replicas.Values.Sum(replica => replica.Counters.BytesSent),
            [.. state.Replicas.Values.Select(Of)],
            state.Verdicts);
    }

    /// <summary>A machine, and what is known of it: of one whose owner is silent nobody knows whether it runs.</summary>
    public static VmView Of(OwnershipView vm, Reason? ownerSuspicion)
    {
        Reason? unknown = vm.Recovery is { } image ? new Reason("recovering", $"{vm.OwnerHostId} is confirmed dead; the machine is being recovered from {image.HostId}.") : ownerSuspicion;
        MachineState state = vm.OwnerHostId is null ? MachineState.Off : unknown is null ? MachineState.Running : MachineState.Unknown;
        return new VmView(vm.VmId, vm.Vm, vm.OwnerHostId, vm.Epoch, vm.OpenOperationId, state, vm.OwnerHostId is null ? null : unknown);
    }

    private static ReplicaView Of(ReplicaState replica) =>
        new(replica.Replica, replica.HostId, replica.Phase.ToString(), replica.Outcome, replica.Reason, replica.Cleaned, replica.Counters);
}
