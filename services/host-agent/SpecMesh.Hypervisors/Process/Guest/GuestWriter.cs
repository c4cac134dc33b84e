using System.Diagnostics;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Native;

namespace SpecMesh.Hypervisors.Process.Guest;

/// <summary>
/// What a guest does: it writes one page after another. It keeps nothing outside of its memory, so that it can be stopped between any two instructions and
/// go on elsewhere: a step that was begun is simply written again.
/// </summary>
internal sealed unsafe class GuestWriter
{
    // A guest that stood still, for a migration or for want of a processor, does not make up for more than this.
    private const double MostSecondsInArrears = 0.02;

    private readonly SharedMapping memory;
    private readonly GuestHeader header;
    private readonly WriteSchedule schedule;

    private GuestWriter(SharedMapping memory, GuestHeader header)
    {
        this.memory = memory;
        this.header = header;
        schedule = new WriteSchedule(header.Seed, (long)header.PageCount);
    }

    /// <summary>Begins to run on a thread of its own.</summary>
    /// <returns>Why it cannot; null when it runs.</returns>
    public static string? Start(SharedMapping memory)
    {
        using SharedMapping.Lease lease = memory.Use();
        GuestHeader header = GuestHeader.Read(lease.Bytes(0, IGuestMemory.PageBytes));
        string? fault = header.Fault(memory.Length / IGuestMemory.PageBytes);
        if (fault is null && header.WritePagesPerSecond > 0)
        {
            new Thread(new GuestWriter(memory, header).Run) { Name = "guest", IsBackground = true }.Start();
        }

        return fault;
    }

    private void Run()
    {
        long step = (long)header.Steps;
        double rate = header.WritePagesPerSecond;
        double most = Math.Max(1, rate * MostSecondsInArrears);
        double credit = 0;
        long then = Stopwatch.GetTimestamp();
        ulong* page = stackalloc ulong[GuestImage.WordsPerPage];
        while (true)
        {
            long now = Stopwatch.GetTimestamp();
            credit = Math.Min(most, credit + (rate * Stopwatch.GetElapsedTime(then, now).TotalSeconds));
            then = now;
            for (; credit >= 1; credit--)
            {
                Write(++step, page);
            }

            Thread.Sleep(1);
        }
    }

    /// <summary>Announces the step, writes the page and counts it, in this order: whoever stops the guest finds what it was doing in its memory.</summary>
    private void Write(long step, ulong* content)
    {
        long number = schedule.PageOf(step);
        GuestImage.Fill(new Span<ulong>(content, GuestImage.WordsPerPage), header.Seed, number, step);
        nint page = memory.Address + (nint)(number * IGuestMemory.PageBytes);

        // SAFETY: the mapping lives as long as the process; the header's words and the page lie within it, for the schedule knows only its pages.
        Libc.CopyPreemptively((void*)(memory.Address + GuestHeader.WritingOffset), &step, sizeof(long));
        Libc.CopyPreemptively((void*)page, content, IGuestMemory.PageBytes);
        Libc.CopyPreemptively((void*)(memory.Address + GuestHeader.StepsOffset), &step, sizeof(long));
    }
}
