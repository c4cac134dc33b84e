using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Native;
using SpecMesh.Hypervisors.Process.Guest;

namespace SpecMesh.Hypervisors.Process.Tracking;

/// <summary>
/// The agent's half of the synchronous tracker. While the guest can answer, it moves and re-protects by itself; while it is stopped it can do neither, so
/// the log reads the notes and leaves them where they are. Pages reported that way are not protected again; because their notes stay, the first harvest
/// after the guest goes on reports and protects them.
/// </summary>
/// <param name="guest">The guest.</param>
/// <param name="control">Its control block.</param>
/// <param name="pageCount">Its pages.</param>
internal sealed class UserfaultfdLog(ProcessGuest guest, ControlChannel control, long pageCount) : IDirtyLog
{
    private readonly ulong[] reportedWhileStopped = new ulong[ControlBlock.BitmapWords(pageCount)];
    private long reportedInStop = -1;

    public string Name => DirtyTrackerChoice.Userfaultfd.Name();

    public void Start() => Settled((stopped, _) =>
    {
        if (!stopped)
        {
            control.Call(GuestCommand.Arm);
            return;
        }

        // Nothing can be protected now. Every page noted as written gives the same: the next harvest that can, protects it.
        PageBitmap all = new(pageCount);
        all.SetAll();
        using SharedMapping.Lease lease = control.Mapping.Use();
        all.Words.CopyTo(Written(lease));
    });

    public void Harvest(PageBitmap into)
    {
        if (into.PageCount != pageCount)
        {
            throw new ArgumentException($"A bitmap of {into.PageCount} pages does not fit a guest of {pageCount}.", nameof(into));
        }

        Settled((stopped, stop) =>
        {
            if (stopped)
            {
                ReadNotes(into, stop);
            }
            else
            {
                control.Call(GuestCommand.Harvest);
                TakeHarvest(into);
            }
        });
    }

    /// <summary>A stopped guest keeps its protection: each page costs it one more fault, which its handler resolves.</summary>
    public void Stop() => Settled((stopped, _) =>
    {
        if (!stopped)
        {
            control.Call(GuestCommand.Disarm);
        }
    });

    public void Dispose()
    {
    }

    private void TakeHarvest(PageBitmap into)
    {
        using SharedMapping.Lease lease = control.Mapping.Use();
        Span<ulong> harvested = Harvested(lease);
        Span<ulong> words = into.Words;
        for (int i = 0; i < words.Length; i++)
        {
            words[i] |= harvested[i];
        }

        // The guest touches these words only while it carries out a harvest, and the only one who asks for one is here.
        harvested.Clear();
    }

    /// <param name="into">Gets each page once per stop.</param>
    /// <param name="stop">Counts the stops of the guest.</param>
    private void ReadNotes(PageBitmap into, long stop)
    {
        if (stop != reportedInStop)
        {
            reportedWhileStopped.AsSpan().Clear();
            reportedInStop = stop;
        }

        using SharedMapping.Lease lease = control.Mapping.Use();
        ReadOnlySpan<ulong> written = Written(lease);

        // A harvest whose answer was never fetched, or that the stop interrupted, has its pages here.
        ReadOnlySpan<ulong> harvested = Harvested(lease);
        Span<ulong> words = into.Words;
        for (int i = 0; i < words.Length; i++)
        {
            ulong noted = written[i] | harvested[i];
            words[i] |= noted & ~reportedWhileStopped[i];
            reportedWhileStopped[i] |= noted;
        }
    }

    private void Settled(Action<bool, long> action)
    {
        try
        {
            guest.WhileSettled(action);
        }
        catch (HypervisorException e)
        {
            throw new DirtyLogException("The dirty log is lost: " + e.Message, e);
        }
    }

    private Span<ulong> Written(SharedMapping.Lease lease) => lease.Words(ControlBlock.WrittenOffset, ControlBlock.BitmapWords(pageCount));

    private Span<ulong> Harvested(SharedMapping.Lease lease) =>
        lease.Words(ControlBlock.HarvestedOffset(pageCount), ControlBlock.BitmapWords(pageCount));
}
