using SpecMesh.DataPath;

namespace SpecMesh.Hypervisors.Xen.Format;

/// <summary>
/// The memory of a shell that a Xen receiver builds: what the data path writes goes on to the receiver, in its own format. This is how N replicas of one pre-copy become N
/// migration streams that stock receivers accept, each behind its own target's checks.
/// </summary>
/// <param name="writer">Where the pages go; its head is written.</param>
/// <param name="layout">Which page frames the source's domain has.</param>
public sealed class XenImageSink(XenStreamWriter writer, MemoryLayout layout) : IGuestMemory
{
    public long PageCount => layout.PageCount;

    /// <summary>Refused: what went to the receiver is the receiver's.</summary>
    /// <exception cref="InvalidOperationException">Always.</exception>
    public void Read(long firstPage, Span<byte> destination) =>
        throw new InvalidOperationException("Pages that went to a Xen receiver cannot be read back before the domain runs.");

    public void Write(long firstPage, ReadOnlySpan<byte> source)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(source.Length % IGuestMemory.PageBytes, 0);
        while (!source.IsEmpty)
        {
            PfnRun frames = layout.FramesAt(firstPage, source.Length / IGuestMemory.PageBytes);
            int bytes = (int)frames.Count * IGuestMemory.PageBytes;
            writer.Write(frames.FirstPfn, source[..bytes]);
            source = source[bytes..];
            firstPage += frames.Count;
        }
    }

    public void Zero(long firstPage, long count)
    {
        while (count > 0)
        {
            PfnRun frames = layout.FramesAt(firstPage, count);
            writer.Zero(frames.FirstPfn, frames.Count);
            count -= frames.Count;
            firstPage += frames.Count;
        }
    }
}
