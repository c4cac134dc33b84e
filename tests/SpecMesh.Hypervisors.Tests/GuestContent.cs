using System.Runtime.InteropServices;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Native;
using SpecMesh.Hypervisors.Process;
using SpecMesh.Hypervisors.Process.Guest;

namespace SpecMesh.Hypervisors.Tests;

/// <summary>What guests write, and the closed form that tells what they must have written.</summary>
public sealed class GuestContent
{
    [Theory]
    [InlineData(16, 400)]
    [InlineData(17, 1000)]
    [InlineData(101, 3000)]
    [InlineData(1024, 20_000)]
    public void the_last_step_of_every_page_is_what_replaying_all_steps_gives(long pageCount, long steps)
    {
        WriteSchedule schedule = new(seed: 99, pageCount);
        long[] last = new long[pageCount];
        for (long step = 1; step <= steps; step++)
        {
            last[schedule.PageOf(step)] = step;
            if (step % 97 == 0 || step == steps)
            {
                Func<long, long> lastStepOf = new WriteSchedule(99, pageCount).LastStepOf(step);
                Assert.All(Enumerable.Range(1, (int)pageCount - 1), page => Assert.Equal(last[page], lastStepOf(page)));
            }
        }

        Assert.Equal(0, last[0]);
        Assert.DoesNotContain(0L, last[1..]);
    }

    [Fact]
    public void nine_of_ten_writes_go_to_a_tenth_of_the_pages()
    {
        WriteSchedule schedule = new(seed: 5, pageCount: 1001);
        long hot = Enumerable.Range(1, 100_000).Count(step => schedule.PageOf(step) <= 100);

        Assert.Equal(90_000, hot);
    }

    [Fact]
    public void another_seed_gives_another_order()
    {
        WriteSchedule a = new(1, 1024);
        WriteSchedule b = new(2, 1024);

        Assert.True(Enumerable.Range(1, 1000).Count(step => a.PageOf(step) != b.PageOf(step)) > 900);
    }

    /// <summary>A guest may be moved between releases, so what a release writes, the next must verify.</summary>
    [Fact]
    public void content_and_order_are_those_of_every_release()
    {
        ulong[] page = new ulong[GuestImage.WordsPerPage];
        GuestImage.Fill(page, seed: 42, number: 7, step: 3);
        WriteSchedule schedule = new(42, 1024);

        Assert.Equal([13805496790408952242UL, 9634937228367038023UL, 8236220466857341517UL], [page[0], page[1], page[511]]);
        Assert.Equal([7L, 14L, 21L, 28L, 35L, 42L, 49L, 56L, 63L, 972L, 70L, 77L, 84L, 91L, 98L, 3L, 10L, 17L, 24L, 143L], Enumerable.Range(1, 20).Select(step => schedule.PageOf(step)));
    }

    [Fact]
    public void content_differs_by_seed_page_and_step()
    {
        HashSet<ulong> words = [];
        foreach ((ulong seed, long number, long step) in new[] { (1UL, 1L, 1L), (2UL, 1L, 1L), (1UL, 2L, 1L), (1UL, 1L, 2L) })
        {
            ulong[] page = new ulong[GuestImage.WordsPerPage];
            GuestImage.Fill(page, seed, number, step);
            words.UnionWith(page);
        }

        Assert.Equal(4 * GuestImage.WordsPerPage, words.Count);
    }

    [Fact]
    public void counters_that_do_not_fit_and_a_changed_field_are_no_guest()
    {
        GuestHeader header = GuestImage.PowerOn(seed: 3, pageCount: 16, writePagesPerSecond: 1, initialisedFraction: 0.5);

        Assert.Null(header.Fault(16));
        Assert.Null((header with { Writing = 1 }).Fault(16));
        Assert.NotNull((header with { Writing = 2 }).Fault(16));
        Assert.NotNull((header with { Steps = 1 }).Fault(16));
        Assert.NotNull((header with { Seed = 4 }).Fault(16));
        Assert.NotNull(header.Fault(17));
    }

    [Fact]
    public void a_page_that_the_guest_was_stopped_in_may_be_half_written_and_no_other()
    {
        GuestHeader header = GuestImage.PowerOn(seed: 3, pageCount: 16, writePagesPerSecond: 1, initialisedFraction: 1) with { Writing = 1 };
        long inProgress = new WriteSchedule(3, 16).PageOf(1);
        using SharedMapping memory = Map(header);
        using SharedMapping.Lease lease = memory.Use();
        ulong[] next = new ulong[GuestImage.WordsPerPage];

        GuestImage.Fill(next, 3, inProgress, 1);
        next.AsSpan(0, 200).CopyTo(lease.Words(inProgress * IGuestMemory.PageBytes, GuestImage.WordsPerPage));
        Assert.True(GuestVerifier.Verify(memory).Intact);

        MemoryMarshal.Write(lease.Bytes(0, IGuestMemory.PageBytes), header with { Writing = 0 });
        Assert.Equal(inProgress, GuestVerifier.Verify(memory).FirstBadPage);
    }

    private static SharedMapping Map(GuestHeader header)
    {
        long bytes = (long)header.PageCount * IGuestMemory.PageBytes;
        using var file = Libc.CreateMemory("specmesh-test", bytes);
        SharedMapping memory = SharedMapping.Map(file, bytes);
        using SharedMapping.Lease lease = memory.Use();
        for (long page = 1; page < (long)header.PageCount; page++)
        {
            GuestImage.FillExpected(lease.Words(page * IGuestMemory.PageBytes, GuestImage.WordsPerPage), header, page, 0);
        }

        MemoryMarshal.Write(lease.Bytes(0, IGuestMemory.PageBytes), header);
        return memory;
    }

    [Fact]
    public void the_command_line_of_a_guest_is_read_as_it_was_meant()
    {
        GuestOptions options = new("vm1-0", 1 << 20, "pagemap-scan", true, ulong.MaxValue, 0.1, 0.5);

        Assert.Equal(options, GuestOptions.Parse(options.ToArguments()));
        Assert.Null(GuestOptions.Parse([]));
        Assert.Null(GuestOptions.Parse([.. options.ToArguments(), "more"]));
    }
}
