using SpecMesh.Hypervisors.Native;

namespace SpecMesh.Hypervisors.Process.Guest;

/// <summary>
/// The guest's half of the synchronous tracker. A first write to a protected page blocks its thread until this handler has noted the page and let it be
/// written.
/// </summary>
/// <remarks>
/// Noting and unprotecting is one step under the lock, and so is moving the notes and protecting again. In between, a harvest could take the note of a page
/// which then would be unprotected without one: its next write would be lost. The note comes before the unprotecting, so that a process stopped between
/// the two has reported too much and never too little. A write between the moving of the notes and the protecting is in the harvest that is being made,
/// which the agent reads before it reads the page. Only the writer's thread touches tracked memory; the threads of the handler must not.
/// </remarks>
internal sealed class FaultHandler(Userfaultfd tracker, SharedMapping control, long pageCount)
{
    private const int FaultsPerRead = 16;
    private readonly Lock gate = new();

    public void Run()
    {
        Span<long> pages = stackalloc long[FaultsPerRead];
        while (true)
        {
            int count = tracker.ReadFaults(pages);
            foreach (long page in pages[..count])
            {
                lock (gate)
                {
                    using SharedMapping.Lease lease = control.Use();
                    Written(lease)[(int)(page >> 6)] |= 1UL << (int)(page & 63);
                    tracker.Unprotect(page, 1);
                }
            }
        }
    }

    public void Arm()
    {
        lock (gate)
        {
            using SharedMapping.Lease lease = control.Use();
            Written(lease).Clear();
            Harvested(lease).Clear();
            tracker.Protect(0, pageCount);
        }
    }

    public void Disarm()
    {
        lock (gate)
        {
            tracker.Unprotect(0, pageCount);
        }
    }

    /// <summary>Adds to the harvested pages instead of replacing them: what an agent asked for and did not fetch is not lost.</summary>
    public void Harvest()
    {
        lock (gate)
        {
            using SharedMapping.Lease lease = control.Use();
            Span<ulong> written = Written(lease);
            Span<ulong> harvested = Harvested(lease);
            long runStart = -1;
            for (int i = 0; i < written.Length; i++)
            {
                ulong word = written[i];
                harvested[i] |= word;
                written[i] = 0;
                ProtectRuns(word, (long)i * 64, ref runStart);
            }

            if (runStart >= 0)
            {
                tracker.Protect(runStart, pageCount - runStart);
            }
        }
    }

    /// <summary>One call into the kernel for each run of pages, also across words.</summary>
    private void ProtectRuns(ulong word, long first, ref long runStart)
    {
        if (word == ulong.MaxValue || (word == 0 && runStart < 0))
        {
            runStart = word == 0 || runStart >= 0 ? runStart : first;
            return;
        }

        for (int bit = 0; bit < 64; bit++)
        {
            bool set = (word & (1UL << bit)) != 0;
            if (set && runStart < 0)
            {
                runStart = first + bit;
            }
            else if (!set && runStart >= 0)
            {
                tracker.Protect(runStart, first + bit - runStart);
                runStart = -1;
            }
        }
    }

    private Span<ulong> Written(SharedMapping.Lease lease) => lease.Words(ControlBlock.WrittenOffset, ControlBlock.BitmapWords(pageCount));

    private Span<ulong> Harvested(SharedMapping.Lease lease) =>
        lease.Words(ControlBlock.HarvestedOffset(pageCount), ControlBlock.BitmapWords(pageCount));
}
