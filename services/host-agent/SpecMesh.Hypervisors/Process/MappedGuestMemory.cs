using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Native;

namespace SpecMesh.Hypervisors.Process;

/// <summary>A guest's memory, mapped into the agent. What the agent writes is not in the dirty log, so it writes only to guests that do not run.</summary>
/// <param name="mapping">The memory.</param>
/// <param name="mayWrite">False while the guest runs.</param>
internal sealed class MappedGuestMemory(SharedMapping mapping, Func<bool> mayWrite) : IGuestMemory
{
    public long PageCount { get; } = mapping.Length / IGuestMemory.PageBytes;

    public void Read(long firstPage, Span<byte> destination)
    {
        using SharedMapping.Lease lease = mapping.Use();
        lease.Bytes(OffsetOf(firstPage, destination.Length), destination.Length).CopyTo(destination);
    }

    public void Write(long firstPage, ReadOnlySpan<byte> source)
    {
        RequireNotRunning();
        using SharedMapping.Lease lease = mapping.Use();
        source.CopyTo(lease.Bytes(OffsetOf(firstPage, source.Length), source.Length));
    }

    public void Zero(long firstPage, long count)
    {
        RequireNotRunning();
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)firstPage, (ulong)(PageCount - count));
        using SharedMapping.Lease lease = mapping.Use();
        const int pagesAtOnce = 1 << 14;
        for (long page = firstPage; page < firstPage + count; page += pagesAtOnce)
        {
            int pages = (int)Math.Min(pagesAtOnce, firstPage + count - page);
            lease.Bytes(page * IGuestMemory.PageBytes, pages * IGuestMemory.PageBytes).Clear();
        }
    }

    private static long OffsetOf(long firstPage, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(firstPage);
        return length % IGuestMemory.PageBytes == 0
            ? checked(firstPage * IGuestMemory.PageBytes)
            : throw new ArgumentException($"{length} bytes are not whole pages.", nameof(length));
    }

    private void RequireNotRunning()
    {
        if (!mayWrite())
        {
            throw new InvalidOperationException("The guest runs: its memory cannot be written from outside.");
        }
    }
}
