namespace SpecMesh.DataPath;

/// <summary>What a migration stream is looked up by at the target.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Replica">Number of the replica.</param>
/// <param name="Epoch">Ownership epoch that the operation was opened in.</param>
public readonly record struct ReplicaKey(Guid OperationId, int Replica, int Epoch);

/// <summary>Everything that both ends of a migration stream must agree on before a byte is applied.</summary>
/// <param name="Key">Operation, replica and epoch.</param>
/// <param name="VmId">The machine; at most <see cref="MaxVmIdBytes"/> bytes of UTF-8.</param>
/// <param name="MemoryBytes">Memory of the machine, as it is defined. Its image may have some pages more: those that its hypervisor keeps beside its memory.</param>
public sealed record ReplicaIdentity(ReplicaKey Key, string VmId, long MemoryBytes)
{
    /// <summary>Most bytes that an image may have beyond the machine's memory. A PVH domain of 80 MiB has 64 KiB more.</summary>
    public const long SlackBytes = 64L << 20;

    /// <summary>Longest id of a machine, in bytes of UTF-8.</summary>
    public const int MaxVmIdBytes = 255;
}
