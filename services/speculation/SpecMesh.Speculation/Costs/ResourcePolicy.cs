using SpecMesh.Contracts;

namespace SpecMesh.Speculation.Costs;

/// <summary>What an operation as a whole has cost.</summary>
/// <param name="BytesSent">Bytes of all its migration streams, replicas that have ended included.</param>
/// <param name="CpuSeconds">Processor time at the source for all of them.</param>
/// <param name="MemoryGibSeconds">Memory on all its targets times how long, in GiB·s.</param>
/// <param name="DirtyBytesPerSecond">Rate at which the guest dirties its memory, as the last harvests saw it.</param>
public readonly record struct OperationCost(long BytesSent, double CpuSeconds = 0, double MemoryGibSeconds = 0, double DirtyBytesPerSecond = 0);

/// <summary>Cost by resources: bytes on the network, processor time at the source, memory on the targets; of one replica, and of the operation.</summary>
internal static class ResourcePolicy
{
    /// <summary>A replica with less than this share of its memory left is let finish, and may cost this share more than its limit for it: aborting it then would waste nearly all of its cost.</summary>
    private const double NearlyDone = 0.1;

    public static CostFinding? WhatReplicaObjectsTo(CostLimits limits, in Sibling sibling)
    {
        bool isNearlyDone = sibling.Now.RemainingBytes is { } remaining && remaining < NearlyDone * sibling.MemoryBytes;
        double patience = isNearlyDone ? 1 + NearlyDone : 1;
        return Above(sibling.Replica, "bytes", "The replica sent more bytes than the workload allows.", sibling.Now.BytesSent, limits.MaxBytes, patience)
            ?? Above(sibling.Replica, "cpu-seconds", "The replica took more processor time than the workload allows.", sibling.Now.CpuSeconds, limits.MaxCpuSeconds, patience)
            ?? Above(sibling.Replica, "memory-seconds", "The replica held memory for longer than the workload allows.", sibling.MemoryGibSeconds, limits.MaxMemoryGibSeconds, patience);
    }

    /// <summary>The objection has no replica yet: whoever asks names the one that is expected to end last.</summary>
    public static CostFinding? WhatOperationObjectsTo(CostLimits limits, in OperationCost cost) =>
        Above(-1, "operation-bytes", "The operation sent more bytes than the workload allows; this replica was expected to end last.", cost.BytesSent, limits.MaxOperationBytes, 1)
        ?? Above(-1, "operation-cpu-seconds", "The operation took more processor time than the workload allows; this replica was expected to end last.", cost.CpuSeconds, limits.MaxOperationCpuSeconds, 1)
        ?? Above(-1, "operation-memory-seconds", "The operation held memory for longer than the workload allows; this replica was expected to end last.", cost.MemoryGibSeconds, limits.MaxOperationMemoryGibSeconds, 1);

    private static CostFinding? Above(int replica, string code, string detail, double observed, double? limit, double patience) =>
        limit is { } most && observed > most * patience ? new CostFinding(replica, code, detail, observed, most) : null;
}
