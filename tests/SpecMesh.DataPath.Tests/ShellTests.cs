namespace SpecMesh.DataPath.Tests;

/// <summary>How a session and the shell behind it get on.</summary>
public sealed class ShellTests
{
    [Theory]
    [InlineData("open")]
    [InlineData("complete")]
    public async Task a_shell_that_hangs_is_interrupted_when_its_session_is_disposed(string call)
    {
        TaskCompletionSource waits = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using Race race = new(pages: 8);
        Target target = await race.JoinAsync(during: (now, interrupted) =>
        {
            if (now == call)
            {
                waits.SetResult();
                interrupted.WaitHandle.WaitOne();
                interrupted.ThrowIfCancellationRequested();
            }
        });
        race.Suspend(0);
        Task<ReadyResult> finish = target.Sender.FinishAsync(0, 1, Race.Deadline());
        await waits.Task.WaitAsync(Race.Patience);
        await target.Receiver.DisposeAsync().AsTask().WaitAsync(Race.Patience);
        await Assert.ThrowsAsync<MigrationException>(() => finish);
        Assert.Equal(ReceiverState.Ended, target.Receiver.State);
    }

    [Theory]
    [InlineData("open")]
    [InlineData("complete")]
    public async Task what_a_shell_says_against_it_is_the_reason_and_nothing_is_kept(string call)
    {
        bool kept = false;
        await using Race race = new(pages: 8);
        Target target = await race.JoinAsync(keep: _ => kept = true, during: (now, _) => ThrowIf(now == call));
        race.Suspend(0);
        await Assert.ThrowsAsync<MigrationException>(() => target.Sender.FinishAsync(0, 1, Race.Deadline()));
        Assert.Contains("not enough free memory", (await target.NextAsync<MigrationFailed>()).Reason, StringComparison.Ordinal);
        Assert.False(kept);
    }

    [Fact]
    public async Task the_shell_has_everything_before_the_image_is_kept_and_the_image_is_kept_before_the_source_hears_of_it()
    {
        List<string> order = [];
        await using Race race = new(pages: 8) { ReadState = () => [1] };
        Target target = await race.JoinAsync(keep: _ => order.Add("keep"), during: (now, _) => order.Add(now));
        race.Suspend(0);
        await target.Sender.FinishAsync(0, 1, Race.Deadline());
        Assert.Equal(["open", "complete", "keep"], order);
    }

    [Fact]
    public async Task an_image_that_was_complete_is_reopened_and_completed_again()
    {
        await using Race race = new(pages: 64) { ReadState = () => [9] };
        Target target = await race.JoinAsync();
        race.Suspend(0);
        await target.Sender.FinishAsync(0, 1, Race.Deadline());
        race.Owner.EndSuspend();
        await target.Sender.VoidAsync(1, Race.Deadline());
        Assert.Equal(1, target.Image.Reopened);
        race.Guest.GuestWrites(5, 8, 77);
        race.Suspend(1);
        await target.Sender.FinishAsync(1, 2, Race.Deadline());
        target.MustEqual(race.Guest);
        Assert.Equal(2, target.Image.States.Count);
    }

    [Fact]
    public async Task a_shell_that_cannot_be_reopened_fails_its_replica_with_the_reason()
    {
        await using Race race = new(pages: 8);
        Target target = await race.JoinAsync(during: (now, _) => ThrowIf(now == "reopen"));
        race.Suspend(0);
        await target.Sender.FinishAsync(0, 1, Race.Deadline());
        race.Owner.EndSuspend();
        MigrationException failure = await Assert.ThrowsAsync<MigrationException>(() => target.Sender.VoidAsync(1, Race.Deadline()));
        Assert.Contains("not enough free memory", failure.Message, StringComparison.Ordinal);
        Assert.Equal(MigrationFault.MemoryFailed, (await target.NextAsync<MigrationFailed>()).Fault);
    }

    private static void ThrowIf(bool now)
    {
        if (now)
        {
            throw new IOException("not enough free memory");
        }
    }
}
