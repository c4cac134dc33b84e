using System.Runtime.InteropServices;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Native;
using SpecMesh.Hypervisors.Process.Guest;

namespace SpecMesh.Hypervisors.Process;

/// <summary>
/// Recomputes from the seed and the step counter what every page must hold and compares every byte. A page that is lost, foreign, or an older version of
/// itself is found. A whole memory of an earlier moment is a correct guest: only its number of steps tells.
/// </summary>
internal static class GuestVerifier
{
    private const int PagesAtOnce = 2048;
    private const int MostThreads = 4;

    public static GuestVerification Verify(SharedMapping memory)
    {
        long pageCount = memory.Length / IGuestMemory.PageBytes;
        using SharedMapping.Lease lease = memory.Use();
        ReadOnlySpan<byte> first = lease.Bytes(0, IGuestMemory.PageBytes);
        GuestHeader header = GuestHeader.Read(first);
        if (header.Fault(pageCount) is not null)
        {
            return new GuestVerification(false, (long)header.Steps, pageCount, 0);
        }

        Check check = new(memory, header);
        if (first[Marshal.SizeOf<GuestHeader>()..].ContainsAnyExcept((byte)0))
        {
            check.Report(0);
        }

        ParallelOptions options = new() { MaxDegreeOfParallelism = Math.Min(MostThreads, Environment.ProcessorCount) };
        Parallel.For(0, (pageCount + PagesAtOnce - 1) / PagesAtOnce, options, chunk => check.Run(chunk * PagesAtOnce, Math.Min(pageCount, (chunk + 1) * PagesAtOnce)));
        return new GuestVerification(check.BadPages == 0, (long)header.Steps, check.BadPages, check.BadPages == 0 ? -1 : check.FirstBadPage);
    }

    private sealed class Check
    {
        private readonly SharedMapping memory;
        private readonly GuestHeader header;
        private readonly Func<long, long> lastStepOf;
        private readonly long pageInProgress = -1;
        private readonly Lock gate = new();

        public Check(SharedMapping memory, GuestHeader header)
        {
            this.memory = memory;
            this.header = header;
            WriteSchedule schedule = new(header.Seed, (long)header.PageCount);
            lastStepOf = schedule.LastStepOf((long)header.Steps);
            if (header.Writing != header.Steps)
            {
                pageInProgress = schedule.PageOf((long)header.Writing);
            }
        }

        public long BadPages { get; private set; }

        public long FirstBadPage { get; private set; } = long.MaxValue;

        public void Run(long from, long end)
        {
            using SharedMapping.Lease lease = memory.Use();
            Span<ulong> expected = stackalloc ulong[GuestImage.WordsPerPage];
            for (long page = Math.Max(1, from); page < end; page++)
            {
                ReadOnlySpan<ulong> found = lease.Words(page * IGuestMemory.PageBytes, GuestImage.WordsPerPage);
                GuestImage.FillExpected(expected, header, page, lastStepOf(page));
                if (!found.SequenceEqual(expected) && !(page == pageInProgress && IsHalfWritten(found, expected)))
                {
                    Report(page);
                }
            }
        }

        public void Report(long page)
        {
            lock (gate)
            {
                BadPages++;
                FirstBadPage = Math.Min(FirstBadPage, page);
            }
        }

        /// <summary>The page that the guest was stopped in may hold words of the step that was under way; it will be written again as a whole.</summary>
        private bool IsHalfWritten(ReadOnlySpan<ulong> found, ReadOnlySpan<ulong> old)
        {
            Span<ulong> next = stackalloc ulong[GuestImage.WordsPerPage];
            GuestImage.Fill(next, header.Seed, pageInProgress, (long)header.Writing);
            for (int i = 0; i < found.Length; i++)
            {
                if (found[i] != old[i] && found[i] != next[i])
                {
                    return false;
                }
            }

            return true;
        }
    }
}
