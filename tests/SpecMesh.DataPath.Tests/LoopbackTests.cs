namespace SpecMesh.DataPath.Tests;

/// <summary>Whole migrations over loopback sockets.</summary>
public sealed class LoopbackTests
{
    /// <summary>So slow that nothing of a round arrives while a test runs.</summary>
    private static readonly ReceiverFaults Hung = new(BytesPerSecond: 1);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(5)]
    public async Task every_completed_target_has_the_guests_memory_while_the_guest_writes(int replicas)
    {
        await using Race race = new(pages: 1024, seed: replicas);
        List<Target> targets = [];
        for (int i = 0; i < replicas; i++)
        {
            targets.Add(await race.JoinAsync());
        }

        using CancellationTokenSource stop = new();
        Task writing = Task.Run(() => Write(race.Guest, stop.Token));
        for (int round = 0; round < 4; round++)
        {
            RoundResult[] results = await Task.WhenAll(targets.Select(target => target.Sender.RunRoundAsync(Race.Deadline())));
            Assert.All(results, result => Assert.Equal(round + 1, result.Round));
        }

        await stop.CancelAsync();
        await writing;
        race.Suspend(incarnation: 0);
        ReadyResult[] ready = await Task.WhenAll(targets.Select(target => target.Sender.FinishAsync(0, 7, Race.Deadline())));
        Assert.Single(ready.Select(result => result.Digest).Distinct());
        Assert.All(targets, target => target.MustEqual(race.Guest));
    }

    [Fact]
    public async Task a_hung_target_costs_its_siblings_nothing()
    {
        await using Race race = new(pages: 8192);
        Target hung = await race.JoinAsync(Hung);
        Target sibling = await race.JoinAsync();
        Task<RoundResult> stuck = hung.Sender.RunRoundAsync(Race.Deadline());
        for (int round = 0; round < 3; round++)
        {
            race.Guest.GuestWrites(round, 0, 1);
            await sibling.Sender.RunRoundAsync(Race.Deadline());
        }

        race.Suspend(0);
        await sibling.Sender.FinishAsync(0, 7, Race.Deadline());
        sibling.MustEqual(race.Guest);
        Assert.False(stuck.IsCompleted);
        Assert.Equal(0, hung.Sender.Counters.Rounds);
        await hung.Sender.AbortAsync("too slow");
        Assert.Equal(MigrationFault.Aborted, (await Assert.ThrowsAsync<MigrationException>(() => stuck)).Fault);
    }

    [Fact]
    public async Task a_target_that_dies_in_a_round_leaves_its_siblings_alone()
    {
        await using Race race = new(pages: 1024);
        Target dying = await race.JoinAsync(new ReceiverFaults(FailAfterBytes: 300_000));
        Target sibling = await race.JoinAsync();
        Task<RoundResult> broken = dying.Sender.RunRoundAsync(Race.Deadline());
        Task<RoundResult> whole = sibling.Sender.RunRoundAsync(Race.Deadline());
        Assert.Equal(MigrationFault.ConnectionLost, (await Assert.ThrowsAsync<MigrationException>(() => broken)).Fault);
        Assert.Equal(MigrationFault.Injected, (await dying.NextAsync<MigrationFailed>()).Fault);
        Assert.Equal(1024, (await whole).Pages);
        Assert.Equal(1024, dying.Sender.Progress.PendingPages);
        race.Suspend(0);
        await sibling.Sender.FinishAsync(0, 7, Race.Deadline());
        sibling.MustEqual(race.Guest);
    }

    [Fact]
    public async Task cancelling_a_round_ends_the_migration_stream_at_once()
    {
        await using Race race = new(pages: 8192);
        Target hung = await race.JoinAsync(Hung);
        using CancellationTokenSource cancel = new();
        Task<RoundResult> round = hung.Sender.RunRoundAsync(cancel.Token);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => round);
        Assert.Equal(8192, hung.Sender.Progress.PendingPages);
        await Assert.ThrowsAsync<MigrationException>(() => hung.Sender.RunRoundAsync(Race.Deadline()));
    }

    [Fact]
    public async Task a_resume_voids_the_image_and_a_later_finish_works()
    {
        await using Race race = new(pages: 256);
        Target target = await race.JoinAsync();
        race.Suspend(0);
        ReadyResult before = await target.Sender.FinishAsync(0, 7, Race.Deadline());
        await Assert.ThrowsAsync<InvalidOperationException>(() => target.Sender.RunRoundAsync(Race.Deadline()));
        race.Owner.EndSuspend();
        await Assert.ThrowsAsync<InvalidOperationException>(() => target.Sender.VoteAsync(3, 0, 7, Race.Deadline()));
        await target.Sender.VoidAsync(1, Race.Deadline());
        Assert.Equal(ReceiverState.Receiving, target.Receiver.State);
        Assert.Equal(before.Digest, (await target.NextAsync<ImageCompleted>()).Digest);
        Assert.Equal(1, (await target.NextAsync<ImageVoided>()).Incarnation);
        race.Guest.GuestWrites(10, 0, 99);
        await target.Sender.RunRoundAsync(Race.Deadline());
        race.Guest.GuestWrites(11, 0, 99);
        race.Suspend(1);
        ReadyResult after = await target.Sender.FinishAsync(1, 7, Race.Deadline());
        Assert.Equal((1, 1, 3), (after.Incarnation, after.LastRound.Pages, after.LastRound.Round));
        Assert.NotEqual(before.Digest, after.Digest);
        target.MustEqual(race.Guest);
    }

    [Fact]
    public async Task a_resume_interrupts_a_finish_and_the_pages_are_pending_again()
    {
        await using Race race = new(pages: 64);
        Target target = await race.JoinAsync();
        Task? voiding = null;
        race.Suspend(0);
        race.Guest.BeforeRead = _ =>
        {
            race.Owner.EndSuspend();
            voiding ??= target.Sender.VoidAsync(1, Race.Deadline());
        };
        Assert.Equal(MigrationFault.Voided, (await Assert.ThrowsAsync<MigrationException>(() => target.Sender.FinishAsync(0, 7, Race.Deadline()))).Fault);
        await voiding!;
        race.Guest.BeforeRead = null;
        Assert.Equal(64, target.Sender.Progress.PendingPages);
        race.Suspend(1);
        Assert.Equal(64, (await target.Sender.FinishAsync(1, 7, Race.Deadline())).LastRound.Pages);
        target.MustEqual(race.Guest);
    }

    [Fact]
    public async Task a_finish_does_not_declare_an_image_complete_once_the_guest_has_been_resumed()
    {
        await using Race race = new(pages: 64);
        Target target = await race.JoinAsync();
        race.Suspend(0);
        race.Guest.BeforeRead = _ => race.Owner.EndSuspend();
        Assert.Equal(MigrationFault.Voided, (await Assert.ThrowsAsync<MigrationException>(() => target.Sender.FinishAsync(0, 7, Race.Deadline()))).Fault);
        race.Guest.BeforeRead = null;
        await target.Sender.VoidAsync(1, Race.Deadline());
        race.Suspend(1);
        await target.Sender.FinishAsync(1, 7, Race.Deadline());
        target.MustEqual(race.Guest);
    }

    [Fact]
    public async Task a_finish_without_a_final_harvest_is_refused_and_sends_nothing()
    {
        await using Race race = new(pages: 64);
        Target target = await race.JoinAsync();
        await Assert.ThrowsAsync<InvalidOperationException>(() => target.Sender.FinishAsync(0, 7, Race.Deadline()));
        race.Owner.BeginSuspend(0);
        await Assert.ThrowsAsync<InvalidOperationException>(() => target.Sender.FinishAsync(0, 7, Race.Deadline()));
        Assert.Equal(0, target.Sender.Counters.BytesSent);
        race.Owner.FinalHarvest(0);
        await target.Sender.FinishAsync(0, 7, Race.Deadline());
        target.MustEqual(race.Guest);
    }

    [Fact]
    public async Task a_vote_is_delivered_once_and_its_outcome_comes_back()
    {
        await using Race race = new(pages: 64);
        Target target = await race.JoinAsync();
        await Assert.ThrowsAsync<InvalidOperationException>(() => target.Sender.VoteAsync(3, 0, 7, Race.Deadline()));
        race.Suspend(0);
        await target.Sender.FinishAsync(0, 7, Race.Deadline());
        await Assert.ThrowsAsync<InvalidOperationException>(() => target.Sender.VoteAsync(3, 0, 6, Race.Deadline()));
        await target.Sender.VoteAsync(3, 0, 7, Race.Deadline());
        await Assert.ThrowsAsync<InvalidOperationException>(() => target.Sender.VoteAsync(3, 0, 7, Race.Deadline()));
        Assert.Equal(new VoteReceived(3, 0, 7), await target.NextAsync<VoteReceived>());
        Assert.True(target.Receiver.ReportRefused("somebody else was faster"));
        Assert.Equal(new VoteOutcome(false, "somebody else was faster"), await target.Sender.WaitResumedAsync(Race.Deadline()));
        await target.Sender.VoteAsync(4, 0, 7, Race.Deadline());
        Assert.Equal(new VoteReceived(4, 0, 7), await target.NextAsync<VoteReceived>());
        Assert.True(target.Receiver.ReportResumed());
        Assert.Equal(new VoteOutcome(true, null), await target.Sender.WaitResumedAsync(Race.Deadline()));
        Assert.Throws<InvalidOperationException>(() => target.Receiver.ReportResumed());
        Assert.False(await target.Receiver.Events.WaitToReadAsync(Race.Deadline()));
    }

    [Fact]
    public async Task a_listener_ends_although_a_vote_is_open()
    {
        await using Race race = new(pages: 64);
        Target target = await race.JoinAsync();
        race.Suspend(0);
        await target.Sender.FinishAsync(0, 7, Race.Deadline());
        await target.Sender.VoteAsync(3, 0, 7, Race.Deadline());
        await target.NextAsync<VoteReceived>();

        await race.Listener.DisposeAsync().AsTask().WaitAsync(Race.Patience);
        Assert.Equal(ReceiverState.Ended, target.Receiver.State);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task an_image_is_kept_before_ready_leaves_or_the_migration_stream_ends(bool fails)
    {
        await using Race race = new(pages: 64);
        List<ImageCompleted> kept = [];
        Target target = await race.JoinAsync(keep: image =>
        {
            kept.Add(image);
            if (fails)
            {
                throw new IOException("No space left on device.");
            }
        });
        race.Suspend(0);
        Task<ReadyResult> finish = target.Sender.FinishAsync(0, 7, Race.Deadline());
        if (fails)
        {
            MigrationException told = await Assert.ThrowsAsync<MigrationException>(() => finish);
            Assert.Contains("No space left", told.Message, StringComparison.Ordinal);
            Assert.Contains("could not be kept", (await target.NextAsync<MigrationFailed>()).Reason, StringComparison.Ordinal);
        }
        else
        {
            Assert.Equal(new ImageCompleted(0, (await finish).Digest, 7), Assert.Single(kept));
        }
    }

    [Fact]
    public async Task nothing_touches_the_image_while_a_vote_is_open()
    {
        await using Race race = new(pages: 64);
        Target target = await race.JoinAsync();
        race.Suspend(0);
        await target.Sender.FinishAsync(0, 7, Race.Deadline());
        await target.Sender.VoteAsync(3, 0, 7, Race.Deadline());
        await target.NextAsync<VoteReceived>();

        // The source resumes although it has voted: the target must not let go of the image before its own vote is settled.
        race.Owner.EndSuspend();
        Task voiding = target.Sender.VoidAsync(1, Race.Deadline());
        Assert.Equal(ReceiverState.Voted, target.Receiver.State);
        Assert.True(target.Receiver.ReportResumed());
        await Assert.ThrowsAsync<MigrationException>(() => voiding);
        target.MustEqual(race.Guest);
    }

    [Fact]
    public async Task an_abort_says_why()
    {
        await using Race race = new(pages: 64);
        Target target = await race.JoinAsync();
        await target.Sender.RunRoundAsync(Race.Deadline());
        await target.Sender.AbortAsync("lost the race");
        Assert.Equal("lost the race", (await target.NextAsync<SourceAborted>()).Reason);
        Assert.Equal(ReceiverState.Ended, target.Receiver.State);
    }

    [Fact]
    public async Task a_target_that_is_closed_ends_the_senders_round()
    {
        await using Race race = new(pages: 8192);
        Target target = await race.JoinAsync(Hung);
        Task<RoundResult> round = target.Sender.RunRoundAsync(Race.Deadline());
        await target.Receiver.DisposeAsync();
        await Assert.ThrowsAsync<MigrationException>(() => round);
    }

    [Fact]
    public async Task the_counters_agree_with_the_rounds()
    {
        await using Race race = new(pages: 512);
        Target target = await race.JoinAsync();
        RoundResult first = await target.Sender.RunRoundAsync(Race.Deadline());
        race.Guest.GuestWrites(1, 8, 5);
        RoundResult second = await target.Sender.RunRoundAsync(Race.Deadline());
        Assert.Equal((512, 256, 1, 0), (first.Pages, first.ZeroPages, second.Pages, second.ZeroPages));
        Assert.True(first.Bytes > 256 * IGuestMemory.PageBytes && first.AcknowledgedBytesPerSecond > 0);
        Assert.Equal((first.Bytes + second.Bytes, 513L, 2), (target.Sender.Counters.BytesSent, target.Sender.Counters.PagesSent, target.Sender.Counters.Rounds));
        Assert.Equal((2, 513L, 0L), (target.Sender.Progress.Round, target.Sender.Progress.PagesSent, target.Sender.Progress.PendingPages));
        Assert.Equal(1, race.Owner.Rate.TotalPages);
    }

    [Fact]
    public async Task a_failed_harvest_is_seen_in_the_round_and_loses_nothing()
    {
        await using Race race = new(pages: 64);
        Target target = await race.JoinAsync();
        await target.Sender.RunRoundAsync(Race.Deadline());
        race.Guest.GuestWrites(5, 0, 1);
        race.Guest.LoseNextHarvest = true;
        RoundResult round = await target.Sender.RunRoundAsync(Race.Deadline());
        Assert.True(round.LogFailed);
        Assert.Equal(64, round.Pages);
        target.MustEqual(race.Guest);
    }

    [Fact]
    public async Task the_log_stops_when_the_last_sender_is_disposed()
    {
        await using Race race = new(pages: 64);
        Target one = await race.JoinAsync();
        Target other = await race.JoinAsync();
        await one.Sender.DisposeAsync();
        Assert.Equal(0, race.Guest.Stops);
        await other.Sender.DisposeAsync();
        await other.Sender.DisposeAsync();
        Assert.Equal((1, 1), (race.Guest.Starts, race.Guest.Stops));
    }

    private static void Write(SimulatedGuest guest, CancellationToken stop)
    {
        Random random = new(7);
        for (ulong i = 1; !stop.IsCancellationRequested; i++)
        {
            guest.GuestWrites(random.NextInt64(guest.PageCount), 8 * random.Next(512), i);
        }
    }
}
