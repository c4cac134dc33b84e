using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Xen.Format;
using SpecMesh.Hypervisors.Xen.Native;

namespace SpecMesh.Hypervisors.Xen;

/// <summary>The memory of a domain on this host, to be read. Several migration streams may read at once.</summary>
internal sealed class XenGuestMemory(XenForeignMemory memory, int domainId, MemoryLayout layout) : IGuestMemory
{
    private volatile bool closed;

    public long PageCount => layout.PageCount;

    public MemoryLayout Layout => layout;

    public void Read(long firstPage, Span<byte> destination)
    {
        ObjectDisposedException.ThrowIf(closed, this);
        while (!destination.IsEmpty)
        {
            PfnRun frames = layout.FramesAt(firstPage, destination.Length / IGuestMemory.PageBytes);
            int bytes = (int)frames.Count * IGuestMemory.PageBytes;
            memory.Read(domainId, frames.FirstPfn, destination[..bytes]);
            destination = destination[bytes..];
            firstPage += frames.Count;
        }
    }

    /// <summary>Refused: an image goes to a receiver, and never into a domain that is there already.</summary>
    /// <exception cref="InvalidOperationException">Always.</exception>
    public void Write(long firstPage, ReadOnlySpan<byte> source) => throw new InvalidOperationException("The memory of a Xen domain is not written from outside.");

    /// <summary>Refused, as <see cref="Write"/> is.</summary>
    /// <exception cref="InvalidOperationException">Always.</exception>
    public void Zero(long firstPage, long count) => throw new InvalidOperationException("The memory of a Xen domain is not written from outside.");

    public void Close() => closed = true;
}
