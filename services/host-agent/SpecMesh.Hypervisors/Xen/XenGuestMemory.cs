using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Xen.Format;
using SpecMesh.Hypervisors.Xen.Native;

namespace SpecMesh.Hypervisors.Xen;

/// <summary>
/// The memory of a domain on this host, to be read. Several migration streams may read at once. What is read is mapped in windows that stay mapped until <see cref="Unmap"/>: a call of the
/// hypervisor for each page costs several times what the page itself does, and the pages of later rounds are scattered.
/// </summary>
internal sealed class XenGuestMemory(XenForeignMemory memory, int domainId, MemoryLayout layout) : IGuestMemory
{
    private const int WindowPages = 512;

    private readonly nint[] windows = new nint[(layout.PageCount + WindowPages - 1) / WindowPages];

    // Nothing is unmapped under a reader, and nothing is read meanwhile.
    private readonly object gate = new();
    private int readers;
    private bool unmapping;
    private bool closed;

    public long PageCount => layout.PageCount;

    public MemoryLayout Layout => layout;

    public void Read(long firstPage, Span<byte> destination)
    {
        BeginRead();
        try
        {
            ArgumentOutOfRangeException.ThrowIfNegative(firstPage);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(firstPage, PageCount - (destination.Length / IGuestMemory.PageBytes));
            while (!destination.IsEmpty)
            {
                int into = (int)(firstPage % WindowPages);
                int pages = Math.Min(WindowPages - into, destination.Length / IGuestMemory.PageBytes);
                int bytes = pages * IGuestMemory.PageBytes;
                Window(firstPage / WindowPages).Slice(into * IGuestMemory.PageBytes, bytes).CopyTo(destination);
                destination = destination[bytes..];
                firstPage += pages;
            }
        }
        finally
        {
            EndRead();
        }
    }

    /// <summary>Refused: an image goes to a receiver, and never into a domain that is there already.</summary>
    /// <exception cref="InvalidOperationException">Always.</exception>
    public void Write(long firstPage, ReadOnlySpan<byte> source) => throw new InvalidOperationException("The memory of a Xen domain is not written from outside.");

    /// <summary>Refused, as <see cref="Write"/> is.</summary>
    /// <exception cref="InvalidOperationException">Always.</exception>
    public void Zero(long firstPage, long count) => throw new InvalidOperationException("The memory of a Xen domain is not written from outside.");

    /// <summary>Lets go of what is mapped: as long as it is, the hypervisor keeps even memory that the domain has given back, or of a domain that is gone. What is read later is mapped again.</summary>
    public void Unmap()
    {
        lock (gate)
        {
            while (unmapping)
            {
                Monitor.Wait(gate);
            }

            unmapping = true;
            while (readers > 0)
            {
                Monitor.Wait(gate);
            }

            for (int i = 0; i < windows.Length; i++)
            {
                if (windows[i] != 0)
                {
                    memory.Unmap(windows[i], PagesOf(i));
                    windows[i] = 0;
                }
            }

            unmapping = false;
            Monitor.PulseAll(gate);
        }
    }

    /// <summary>Lets go of the memory for good.</summary>
    public void Close()
    {
        lock (gate)
        {
            closed = true;
        }

        Unmap();
    }

    private void BeginRead()
    {
        lock (gate)
        {
            while (unmapping)
            {
                Monitor.Wait(gate);
            }

            ObjectDisposedException.ThrowIf(closed, this);
            readers++;
        }
    }

    private void EndRead()
    {
        lock (gate)
        {
            readers--;
            Monitor.PulseAll(gate);
        }
    }

    private int PagesOf(long window) => (int)Math.Min(WindowPages, PageCount - (window * WindowPages));

    private unsafe ReadOnlySpan<byte> Window(long window)
    {
        nint mapped = Volatile.Read(ref windows[window]);
        if (mapped == 0)
        {
            lock (gate)
            {
                mapped = windows[window] != 0 ? windows[window] : memory.Map(domainId, FramesOf(window));
                Volatile.Write(ref windows[window], mapped);
            }
        }

        // SAFETY: the window is that long, every page of it is there, and it stays mapped while the caller holds the lock.
        return new ReadOnlySpan<byte>((void*)mapped, PagesOf(window) * IGuestMemory.PageBytes);
    }

    private ulong[] FramesOf(long window)
    {
        ulong[] frames = new ulong[PagesOf(window)];
        for (int filled = 0; filled < frames.Length;)
        {
            PfnRun run = layout.FramesAt((window * WindowPages) + filled, frames.Length - filled);
            for (long i = 0; i < run.Count; i++)
            {
                frames[filled++] = (ulong)(run.FirstPfn + i);
            }
        }

        return frames;
    }
}
