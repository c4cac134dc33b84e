namespace SpecMesh.DataPath.Tests;

/// <summary>I1 to I7, each by itself. The search for lost pages over whole schedules is in <see cref="MutationTests"/>.</summary>
public sealed class InvariantTests
{
    [Fact]
    public void i1_each_page_is_current_or_pending_or_taken_or_in_the_log_at_every_step()
    {
        for (int seed = 0; seed < 1_000; seed++)
        {
            Assert.Null(Schedule.FindLostPage(new FanOut(), seed, EachPageIsAccountedFor));
        }
    }

    [Fact]
    public async Task i2_a_page_that_is_written_after_its_bit_was_cleared_is_sent_again()
    {
        await using Race race = new(pages: 4);
        Target target = await race.JoinAsync();
        bool written = false;
        race.Guest.BeforeRead = _ =>
        {
            // The round has harvested; the guest writes before the page is read, and once more after that.
            if (!written)
            {
                written = true;
                race.Guest.GuestWrites(1, 0, 42);
            }
        };
        RoundResult first = await target.Sender.RunRoundAsync(Race.Deadline());
        RoundResult second = await target.Sender.RunRoundAsync(Race.Deadline());
        Assert.Equal((4, 1), (first.Pages, first.PendingAfter));
        Assert.Equal((1, 0), (second.Pages, second.PendingAfter));
        target.MustEqual(race.Guest);
    }

    [Fact]
    public void i3_one_harvest_reaches_every_replica()
    {
        SimulatedGuest guest = new(128);
        DirtyLogOwner owner = MakeOwner(guest);
        using PendingPages taker = Drained(owner);
        using PendingPages other = Drained(owner);
        guest.GuestWrites(77, 0, 1);
        Assert.Equal(1, taker.TakeForRound());
        Assert.False(guest.IsDirty(77));
        Assert.Equal(1, other.PendingCount);
        Assert.True(other.Pending[77]);
    }

    [Fact]
    public async Task i3_nobody_can_test_for_nothing_pending_between_the_harvest_and_the_or()
    {
        SimulatedGuest guest = new(128);
        DirtyLogOwner owner = MakeOwner(guest);
        using PendingPages candidate = Drained(owner);
        using PendingPages other = Drained(owner);
        guest.GuestWrites(5, 0, 1);
        owner.BeginSuspend(0);
        Task<bool>? test = null;
        guest.DuringHarvest = () =>
        {
            using ManualResetEventSlim asking = new();
            test = Task.Run(() =>
            {
                asking.Set();
                return other.IsComplete(0);
            });
            asking.Wait();
        };
        owner.FinalHarvest(0);
        Assert.False(await test!);
        Assert.False(candidate.IsComplete(0));
    }

    [Fact]
    public void i4_an_image_is_complete_only_after_every_part_of_the_rule()
    {
        SimulatedGuest guest = new(16);
        DirtyLogOwner owner = MakeOwner(guest);
        using PendingPages replica = Drained(owner);
        Assert.False(replica.IsComplete(0));
        Assert.Throws<InvalidOperationException>(() => owner.FinalHarvest(0));
        guest.GuestWrites(3, 0, 1);
        owner.BeginSuspend(0);
        Assert.False(replica.IsComplete(0));
        Assert.Throws<InvalidOperationException>(() => replica.TakeForFinish(0));
        owner.FinalHarvest(0);
        Assert.False(replica.IsComplete(0));
        Assert.Equal(1, replica.TakeForFinish(0));
        Assert.False(replica.IsComplete(0));
        replica.Acknowledge();
        Assert.True(replica.IsComplete(0));
        Assert.False(replica.IsComplete(1));
        owner.EndSuspend();
        Assert.False(replica.IsComplete(0));
        owner.BeginSuspend(0);
        Assert.False(replica.IsComplete(0));
    }

    [Fact]
    public void i4_a_new_suspend_needs_a_final_harvest_of_its_own_even_when_no_resume_was_told()
    {
        DirtyLogOwner owner = MakeOwner(new SimulatedGuest(16));
        using PendingPages replica = Drained(owner);
        owner.BeginSuspend(0);
        owner.FinalHarvest(0);
        Assert.True(owner.IsFinal(0) && replica.IsComplete(0));
        owner.BeginSuspend(0);
        Assert.False(owner.IsFinal(0) || replica.IsComplete(0));
    }

    [Fact]
    public void i4_a_final_harvest_of_another_incarnation_does_not_count()
    {
        DirtyLogOwner owner = MakeOwner(new SimulatedGuest(16));
        using PendingPages replica = Drained(owner);
        owner.BeginSuspend(0);
        owner.FinalHarvest(0);
        owner.EndSuspend();
        owner.BeginSuspend(1);
        Assert.Throws<InvalidOperationException>(() => replica.TakeForFinish(0));
        Assert.Throws<InvalidOperationException>(() => replica.TakeForFinish(1));
        Assert.Throws<InvalidOperationException>(() => owner.FinalHarvest(0));
    }

    [Fact]
    public void i4_a_final_harvest_is_never_answered_from_an_earlier_one()
    {
        SimulatedGuest guest = new(16);
        DirtyLogOwner owner = new(guest, 16, TimeProvider.System, reuse: TimeSpan.FromDays(1));
        using PendingPages replica = owner.Join();
        replica.TakeForRound();
        replica.Acknowledge();
        Assert.Equal(0, guest.Harvests);
        guest.GuestWrites(9, 0, 1);
        owner.BeginSuspend(0);
        owner.FinalHarvest(0);
        Assert.Equal(1, guest.Harvests);
        Assert.Equal(1, replica.TakeForFinish(0));
    }

    [Fact]
    public void i5_a_joining_replica_starts_with_every_page_pending()
    {
        DirtyLogOwner owner = MakeOwner(new SimulatedGuest(130));
        using PendingPages first = Drained(owner);
        using PendingPages late = owner.Join();
        Assert.Equal((0, 130), (first.PendingCount, late.PendingCount));
    }

    [Fact]
    public void i6_a_failed_harvest_makes_every_page_pending_for_everyone()
    {
        SimulatedGuest guest = new(130);
        DirtyLogOwner owner = MakeOwner(guest);
        using PendingPages one = Drained(owner);
        using PendingPages other = Drained(owner);
        guest.GuestWrites(100, 0, 1);
        guest.LoseNextHarvest = true;
        Assert.Equal(130, one.TakeForRound());
        Assert.Equal(130, other.PendingCount);
        Assert.Equal(1, owner.Rate.FailedHarvests);
        Assert.IsType<DirtyLogException>(owner.Rate.LastFailure);
    }

    [Fact]
    public void i6_a_failed_final_harvest_does_not_count_and_may_be_tried_again()
    {
        SimulatedGuest guest = new(130);
        DirtyLogOwner owner = MakeOwner(guest);
        using PendingPages replica = Drained(owner);
        owner.BeginSuspend(0);
        guest.LoseNextHarvest = true;
        Assert.Throws<DirtyLogException>(() => owner.FinalHarvest(0));
        Assert.Throws<InvalidOperationException>(() => replica.TakeForFinish(0));
        owner.FinalHarvest(0);
        Assert.Equal(130, replica.TakeForFinish(0));
    }

    [Fact]
    public void i7_the_log_starts_with_the_first_replica_and_stops_with_the_last()
    {
        SimulatedGuest guest = new(16);
        DirtyLogOwner owner = MakeOwner(guest);
        PendingPages one = owner.Join();
        PendingPages other = owner.Join();
        one.Dispose();
        one.Dispose();
        Assert.Equal((1, 0), (guest.Starts, guest.Stops));
        other.Dispose();
        Assert.Equal((1, 1), (guest.Starts, guest.Stops));
        using PendingPages again = owner.Join();
        Assert.Equal((2, 1), (guest.Starts, guest.Stops));
        Assert.Equal(16, again.PendingCount);
    }

    [Fact]
    public void pages_that_are_not_acknowledged_are_pending_again()
    {
        SimulatedGuest guest = new(16);
        DirtyLogOwner owner = MakeOwner(guest);
        using PendingPages replica = Drained(owner);
        guest.GuestWrites(3, 0, 1);
        Assert.Equal(1, replica.TakeForRound());
        guest.GuestWrites(4, 0, 1);
        replica.Return();
        Assert.Equal(2, replica.TakeForRound());
        Assert.True(replica.Taken[3] && replica.Taken[4]);
    }

    [Fact]
    public void rounds_that_begin_close_together_share_a_harvest()
    {
        SimulatedGuest guest = new(16);
        DirtyLogOwner owner = new(guest, 16, TimeProvider.System, reuse: TimeSpan.FromDays(1));
        using PendingPages one = owner.Join();
        using PendingPages other = owner.Join();
        Assert.Equal((16, 16), (one.TakeForRound(), other.TakeForRound()));
        Assert.Equal(0, guest.Harvests);
    }

    private static DirtyLogOwner MakeOwner(SimulatedGuest guest) => new(guest, guest.PageCount, TimeProvider.System, TimeSpan.Zero);

    private static PendingPages Drained(DirtyLogOwner owner)
    {
        PendingPages replica = owner.Join();
        replica.TakeForRound();
        replica.Acknowledge();
        return replica;
    }

    private static void EachPageIsAccountedFor(FanOut fanOut)
    {
        foreach (ModelReplica replica in fanOut.Replicas)
        {
            for (int page = 0; page < FanOut.Pages; page++)
            {
                bool accounted = replica.Copied[page] == fanOut.Memory[page] || replica.Pending.Pending[page] || replica.Pending.Taken[page] || fanOut.Log.Has(page);
                Assert.True(accounted, $"Page {page} is stale at a replica and nobody knows.");
            }
        }
    }
}
