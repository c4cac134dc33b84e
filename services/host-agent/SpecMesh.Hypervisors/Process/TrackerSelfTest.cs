using System.Diagnostics;
using SpecMesh.Contracts;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Process.Guest;

namespace SpecMesh.Hypervisors.Process;

/// <summary>
/// Finds out whether a dirty tracker works by using it: a small guest writes pages that are known beforehand, and the tracker must report all of them, while the
/// guest runs, when it is stopped, and again after it has gone on. Trackers that fail do so silently on some kernels, so nothing less will do.
/// </summary>
internal static class TrackerSelfTest
{
    private const int PageCount = 512;
    private const int PagesPerSecond = 20_000;
    private const int StepsPerRound = 40;
    private const int Rounds = 3;
    private const ulong Seed = 0x5E1F_7E57;
    private static readonly TimeSpan MostPatience = TimeSpan.FromSeconds(20);

    /// <returns>Why the tracker cannot be used; null when it works.</returns>
    public static async Task<string?> RunAsync(ProcessHypervisor hypervisor, DirtyTrackerChoice tracker, CancellationToken cancellationToken)
    {
        if (tracker == DirtyTrackerChoice.SoftDirty && ProcFs.HasSwap())
        {
            return "the host swaps, and the soft-dirty bit of a shared page is lost when the page is swapped out";
        }

        GuestTag tag = new("self-test", null, null, 0);
        GuestSpec spec = new(tag, new VmDefinition(PageCount * IGuestMemory.PageBytes, PagesPerSecond, Seed));
        try
        {
            ProcessGuest guest = await hypervisor.BuildAsync(spec, tracker.Name(), powerOn: true, cancellationToken);
            try
            {
                return await TryAsync(guest, cancellationToken);
            }
            finally
            {
                await guest.DestroyAsync(CancellationToken.None);
            }
        }
        catch (Exception e) when (e is HypervisorException or DirtyLogException)
        {
            return e.Message;
        }
    }

    private static async Task<string?> TryAsync(ProcessGuest guest, CancellationToken cancellationToken)
    {
        using IDirtyLog log = guest.OpenDirtyLog();
        log.Start();
        if (Harvest(log).PopCount == PageCount)
        {
            return "it reports every page of a guest that has written none";
        }

        await guest.StartUnownedAsync(cancellationToken);
        long done = 0;
        for (int round = 0; round < Rounds; round++)
        {
            await WaitAsync(guest, done + StepsPerRound, cancellationToken);
            PageBitmap reported = Harvest(log);
            await WaitAsync(guest, guest.Progress + StepsPerRound, cancellationToken);
            await guest.SuspendAsync(cancellationToken);
            log.Harvest(reported);
            long steps = guest.Progress;

            // The step that the last stop interrupted may have been in the harvest of that stop.
            if (Missing(reported, round == 0 ? 1 : done + 2, steps) is { } missing)
            {
                return missing;
            }

            if (Harvest(log).PopCount == PageCount)
            {
                return "it reports every page of a guest that stands still";
            }

            done = steps;
            await guest.ResumeAsync(cancellationToken);
        }

        return null;
    }

    private static PageBitmap Harvest(IDirtyLog log)
    {
        PageBitmap pages = new(PageCount);
        log.Harvest(pages);
        return pages;
    }

    private static string? Missing(PageBitmap reported, long from, long to)
    {
        WriteSchedule schedule = new(Seed, PageCount);
        HashSet<long> written = [0];
        for (long step = from; step <= to; step++)
        {
            written.Add(schedule.PageOf(step));
        }

        int missing = written.Count(page => !reported[page]);
        return missing == 0 ? null : $"it reported {written.Count - missing} of {written.Count} pages that a guest wrote: this kernel does not do it";
    }

    private static async Task WaitAsync(ProcessGuest guest, long steps, CancellationToken cancellationToken)
    {
        long began = Stopwatch.GetTimestamp();
        while (guest.Progress < steps)
        {
            if (guest.Exited.IsCompleted || Stopwatch.GetElapsedTime(began) > MostPatience)
            {
                throw new HypervisorException($"the guest of the self-test wrote {guest.Progress} pages and not {steps}");
            }

            await Task.Delay(1, cancellationToken);
        }
    }
}
