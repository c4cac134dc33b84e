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
            [.. state.Replicas.Values.Select(Of)]);
    }

    public static VmView Of(OwnershipView vm) => new(vm.VmId, vm.Vm, vm.OwnerHostId, vm.Epoch, vm.OpenOperationId);

    private static ReplicaView Of(ReplicaState replica) =>
        new(replica.Replica, replica.HostId, replica.Phase.ToString(), replica.Outcome, replica.Reason, replica.Cleaned, replica.Counters);
}
