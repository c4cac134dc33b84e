using SpecMesh.Contracts;
using SpecMesh.Hypervisors;

namespace SpecMesh.Services.Tests.HostAgent;

/// <summary>Whole operations between agents in one process, with real guests and the real ownership event streams.</summary>
public sealed class MigrationTests : IAsyncLifetime
{
    private AgentMesh mesh = null!;
    private AgentHost source = null!;
    private AgentHost target = null!;

    public async Task InitializeAsync()
    {
        mesh = await AgentMesh.StartAsync();
        source = await mesh.HostAsync("h1");
        target = await mesh.HostAsync("h2");
    }

    public async Task DisposeAsync() => await mesh.DisposeAsync();

    [Fact]
    public async Task a_machine_moves_whole_and_its_neighbour_stays_and_the_last_word_is_repeated()
    {
        await mesh.PowerOnAsync("vm", source);
        await mesh.PowerOnAsync("neighbour", source);
        Operation beside = await mesh.OpenAsync("neighbour", OperationKind.Migrate);
        AgentHost slow = await mesh.HostAsync("h3");
        slow.Agent.Faults.Set(new InjectFault(slow.Id, FaultKind.ThrottleTransfer, BytesPerSecond: 64 << 10));
        await mesh.RaceAsync(beside, 0, source, slow);
        Operation move = await mesh.OpenAsync("vm", OperationKind.Migrate);
        await mesh.RaceAsync(move, 0, source, target);
        await mesh.HearAsync<ReplicaResumed>(resumed => resumed.OperationId == move.Id);
        await mesh.CloseAsync(move, OperationOutcome.Succeeded);
        source.Release(move.Release(source));
        SourceReleased released = await mesh.HearAsync<SourceReleased>();

        GuestVerification found = await target.Agent.Owned("vm")!.VerifyAsync(CancellationToken.None);
        Assert.True(found.Intact, $"{found}");
        Assert.Equal((move.Id, true), (released.OperationId, released.Destroyed));
        Assert.True(released.DowntimeMs > 0 && released.Counters.Single().PagesSent > 0);
        Assert.Equal(["neighbour"], (await source.GuestsAsync()).Select(guest => guest.Tag.VmId));
        int before = mesh.Reports.OfType<SourceReleased>().Count();
        source.Release(move.Release(source));
        await AgentMesh.UntilAsync(() => Task.FromResult(mesh.Reports.OfType<SourceReleased>().Count() > before));
        Assert.All(mesh.Reports.OfType<SourceReleased>(), said => Assert.Equivalent(released, said));
        Assert.NotNull(source.Agent.Source(beside.Id));
        Assert.NotNull(slow.Agent.Target(beside.Id, 0));
        Assert.Equal(GuestState.Running, source.Agent.Owned("neighbour")!.State);
        Assert.Null(source.Agent.Journal.ReadVote("vm"));
        Assert.Null(target.Agent.Journal.ReadImage(move.Id, 0));
    }

    [Fact]
    public async Task the_final_round_is_told_before_the_commit_is()
    {
        await mesh.PowerOnAsync("vm", source);
        Operation move = await mesh.OpenAsync("vm", OperationKind.Migrate);
        TaskCompletionSource told = new(TaskCreationOptions.RunContinuationsAsynchronously);
        target.Line.Before = (call, token) => call == "transfer" ? told.Task.WaitAsync(token) : Task.CompletedTask;
        await mesh.RaceAsync(move, 0, source, target);

        // The commit waits until the rounds are heard: were they held back for it, nothing would ever come.
        await mesh.HearAsync<ReplicaRoundsReported>(report => report.Rounds.Any(round => round.Final));
        told.SetResult();
        await EndedOnOneOfAsync(move);
    }

    [Fact]
    public async Task a_replica_whose_machine_is_not_here_fails_at_once_and_leaves_nothing()
    {
        await mesh.PowerOnAsync("vm", source);
        Operation move = await mesh.OpenAsync("vm", OperationKind.Migrate);
        AgentHost wrong = await mesh.HostAsync("h3");
        await mesh.RaceAsync(move, 0, wrong, target);

        ReplicaFailed failed = await mesh.HearAsync<ReplicaFailed>();
        Assert.Equal((move.Id, 0, target.Id, "machine-not-here"), (failed.OperationId, failed.Replica, failed.HostId, failed.Reason.Code));
        Assert.Equal(0, wrong.Agent.Busy);
    }

    [Fact]
    public async Task a_power_on_of_three_runs_exactly_once_and_no_shell_is_left()
    {
        AgentHost third = await mesh.HostAsync("h3");
        AgentHost[] hosts = [source, target, third];
        Operation on = await mesh.OpenAsync("vm", OperationKind.PowerOn);
        for (int replica = 0; replica < hosts.Length; replica++)
        {
            hosts[replica].Start(on.Start(replica, hosts[replica]));
        }

        ReplicaResumed won = await mesh.HearAsync<ReplicaResumed>();
        for (int replica = 0; replica < hosts.Length; replica++)
        {
            int loser = replica;
            if (loser != won.Replica)
            {
                await mesh.HearAsync<ReplicaCleaned>(cleaned => cleaned.Replica == loser && cleaned.HostId == hosts[loser].Id);
                Assert.Empty(await hosts[loser].GuestsAsync());
            }
        }

        Assert.Equal(GuestState.Running, Assert.Single(await hosts[won.Replica].GuestsAsync()).State);
        Assert.Single(mesh.Reports.OfType<ReplicaResumed>());
        Assert.Equal(won.HostId, (await mesh.Ownership.ReadAsync("vm", default)).OwnerHostId);
    }

    [Fact]
    public async Task a_source_guest_that_is_killed_fails_its_replicas_and_leaves_nothing()
    {
        await mesh.PowerOnAsync("vm", source);
        target.Agent.Faults.Set(new InjectFault(target.Id, FaultKind.ThrottleTransfer, BytesPerSecond: 64 << 10));
        Operation move = await mesh.OpenAsync("vm", OperationKind.Migrate);
        await mesh.RaceAsync(move, 0, source, target);
        source.KillGuest("vm");

        await mesh.HearAsync<ReplicaFailed>(failed => failed.OperationId == move.Id);
        await mesh.CloseAsync(move, OperationOutcome.Failed);
        target.Abort(move.Abort(0, target));
        source.Release(move.Release(source));
        await mesh.HearAsync<ReplicaCleaned>(cleaned => cleaned.OperationId == move.Id);
        SourceReleased released = await mesh.HearAsync<SourceReleased>();
        Assert.False(released.Destroyed);
        await AgentMesh.UntilAsync(() => Task.FromResult(source.Agent.Busy + target.Agent.Busy == 0));
        Assert.Empty(source.Agent.Guests);
        Assert.Empty(await source.GuestsAsync());
        Assert.Empty(await target.GuestsAsync());
    }

    [Fact]
    public async Task a_target_guest_that_is_killed_fails_its_replica_and_the_machine_runs_on()
    {
        await mesh.PowerOnAsync("vm", source);
        target.Agent.Faults.Set(new InjectFault(target.Id, FaultKind.ThrottleTransfer, BytesPerSecond: 64 << 10));
        Operation move = await mesh.OpenAsync("vm", OperationKind.Migrate);
        await mesh.RaceAsync(move, 0, source, target);
        target.KillGuest("vm");

        await mesh.HearAsync<ReplicaFailed>(failed => failed.HostId == target.Id && failed.Reason.Code == "guest-lost");
        await mesh.HearAsync<ReplicaCleaned>(cleaned => cleaned.OperationId == move.Id);
        await mesh.CloseAsync(move, OperationOutcome.Failed);
        await EndedOnOneOfAsync(move);
        Assert.Equal(GuestState.Running, Assert.Single(await source.GuestsAsync()).State);
    }

    [Fact]
    public async Task a_shell_that_dies_with_a_complete_image_is_not_committed()
    {
        await mesh.PowerOnAsync("vm", source);
        Operation move = await mesh.OpenAsync("vm", OperationKind.Migrate);
        TaskCompletionSource killed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        target.Line.Before = (call, token) => call == "transfer" ? killed.Task.WaitAsync(token) : Task.CompletedTask;
        await mesh.RaceAsync(move, 0, source, target);
        await mesh.HearAsync<ReplicaReady>(ready => ready.OperationId == move.Id);

        // The vote is out and gets no answer: the source refuses it, and its guest goes on.
        await mesh.HearAsync<ReplicaFailed>(failed => failed.OperationId == move.Id && failed.Reason.Code == "transfer-refused");
        target.KillGuest("vm");
        killed.SetResult();
        await mesh.HearAsync<ReplicaCleaned>(cleaned => cleaned.OperationId == move.Id);
        Assert.Equal(source.Id, (await mesh.Ownership.ReadAsync("vm", default)).OwnerHostId);
        Assert.Equal(GuestState.Running, source.Agent.Owned("vm")!.State);
        await mesh.CloseAsync(move, OperationOutcome.Failed);
        await EndedOnOneOfAsync(move);
    }

    [Theory]
    [InlineData("preparing")]
    [InlineData("copying")]
    [InlineData("committing")]
    [InlineData("committed")]
    public async Task a_cancel_in_any_phase_leaves_one_runner_and_no_shell(string phase)
    {
        await mesh.PowerOnAsync("vm", source);
        Operation move = await mesh.OpenAsync("vm", OperationKind.Migrate);
        TaskCompletionSource cancelled = new(TaskCreationOptions.RunContinuationsAsynchronously);
        TaskCompletionSource asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
        target.Line.Before = (call, token) =>
        {
            if (call == "transfer" && phase == "committing")
            {
                asked.TrySetResult();
                return cancelled.Task.WaitAsync(token);
            }

            return Task.CompletedTask;
        };
        if (phase == "copying")
        {
            target.Agent.Faults.Set(new InjectFault(target.Id, FaultKind.ThrottleTransfer, BytesPerSecond: 64 << 10));
        }

        if (phase == "preparing")
        {
            target.Start(move.Start(0, target));
        }
        else
        {
            await mesh.RaceAsync(move, 0, source, target);
            await (phase switch
            {
                "committing" => asked.Task.WaitAsync(AgentMesh.Patience),
                "committed" => mesh.HearAsync<ReplicaResumed>(resumed => resumed.OperationId == move.Id),
                _ => Task.CompletedTask,
            });
        }

        await mesh.CloseAsync(move, phase == "committed" ? OperationOutcome.Succeeded : OperationOutcome.Cancelled);
        target.Abort(move.Abort(0, target));
        source.Abort(move.Abort(0, source));
        cancelled.SetResult();
        await EndedOnOneOfAsync(move);
        Assert.Equal(phase == "committed" ? target.Id : source.Id, (await mesh.Ownership.ReadAsync("vm", default)).OwnerHostId);
    }

    [Fact]
    public async Task a_vote_whose_fate_nobody_answers_keeps_the_guest_still_and_is_settled_afterwards()
    {
        await mesh.PowerOnAsync("vm", source);
        Operation move = await mesh.OpenAsync("vm", OperationKind.Migrate);
        TaskCompletionSource asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
        int refusals = 0;
        target.Line.Before = (call, token) => call == "transfer" ? ScriptedOwnership.NoAnswerAsync(token) : Task.CompletedTask;
        source.Line.Before = (call, _) =>
        {
            if (call == "refuse" && Interlocked.Increment(ref refusals) == 5)
            {
                asked.SetResult();
            }

            return call == "refuse" ? throw new HttpRequestException("503") : Task.CompletedTask;
        };
        await mesh.RaceAsync(move, 0, source, target);
        await asked.Task.WaitAsync(AgentMesh.Patience);
        Assert.Equal(GuestState.Suspended, source.Agent.Owned("vm")!.State);

        source.Line.Mend();
        await mesh.HearAsync<ReplicaFailed>(failed => failed.Reason.Code == "transfer-refused");
        target.Line.Mend();
        await mesh.CloseAsync(move, OperationOutcome.Failed);
        await EndedOnOneOfAsync(move);
        Assert.Equal(GuestState.Running, source.Agent.Owned("vm")!.State);
    }

    [Fact]
    public async Task a_machine_that_leaves_and_returns_is_another_guest_and_the_next_operation_waits_for_the_dirty_log()
    {
        await mesh.PowerOnAsync("vm", source);
        (AgentHost From, AgentHost To)[] moves = [(source, target), (target, source), (source, target)];
        foreach ((AgentHost from, AgentHost to) in moves)
        {
            // An operation that was given up still holds the dirty log when the next one joins: nobody has told it to let go.
            Operation given = await mesh.OpenAsync("vm", OperationKind.Migrate);
            to.Agent.Faults.Set(new InjectFault(to.Id, FaultKind.ThrottleTransfer, BytesPerSecond: 64 << 10));
            await mesh.RaceAsync(given, 0, from, to);
            await mesh.CloseAsync(given, OperationOutcome.Cancelled);
            to.Agent.Faults.Set(new InjectFault(to.Id, FaultKind.None));
            Operation move = await mesh.OpenAsync("vm", OperationKind.Migrate);
            await mesh.RaceAsync(move, 0, from, to);
            await mesh.HearAsync<ReplicaResumed>(resumed => resumed.OperationId == move.Id && resumed.HostId == to.Id);
            await mesh.CloseAsync(move, OperationOutcome.Succeeded);
            from.Release(given.Release(from));
            from.Release(move.Release(from));
            await mesh.HearAsync<SourceReleased>(released => released.OperationId == given.Id && !released.Destroyed);
            await mesh.HearAsync<SourceReleased>(released => released.OperationId == move.Id && released.Destroyed);
            Assert.True((await to.Agent.Owned("vm")!.VerifyAsync(CancellationToken.None)).Intact);
        }

        await AgentMesh.UntilAsync(() => Task.FromResult(source.Agent.Busy + target.Agent.Busy == 0));
        Assert.Empty(await source.GuestsAsync());
        Assert.Equal(GuestState.Running, Assert.Single(await target.GuestsAsync()).State);
    }

    /// <summary>The operation is closed: both sides say that they hold nothing more than one running guest.</summary>
    private async Task EndedOnOneOfAsync(Operation move)
    {
        source.Release(move.Release(source));
        await mesh.HearAsync<SourceReleased>(released => released.OperationId == move.Id);
        await AgentMesh.UntilAsync(() => Task.FromResult(source.Agent.Busy + target.Agent.Busy == 0));
        (GuestTag Tag, GuestState? State)[] left = [.. await source.GuestsAsync(), .. await target.GuestsAsync()];
        Assert.Equal(GuestState.Running, Assert.Single(left).State);
        string owner = (await mesh.Ownership.ReadAsync("vm", default)).OwnerHostId!;
        GuestVerification found = await (owner == source.Id ? source : target).Agent.Owned("vm")!.VerifyAsync(CancellationToken.None);
        Assert.True(found.Intact, $"{found}");
    }
}
