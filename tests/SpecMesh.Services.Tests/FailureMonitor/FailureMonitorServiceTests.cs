using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using SpecMesh.Contracts;
using SpecMesh.FailureMonitor;
using SpecMesh.Hosting;
using SpecMesh.Services.Tests.Hosting;

namespace SpecMesh.Services.Tests.FailureMonitor;

/// <summary>Every consumer of the failure monitor once, with a neighbour beside it that must stay as it is.</summary>
public class FailureMonitorServiceTests
{
    private static readonly Guid Operation = new("5f1d7e84-7a2b-4c3d-9e8f-000000000001");

    private readonly Seen<object> told = new();
    private readonly ManualTime time = new();

    [Fact]
    public async Task a_silent_host_is_suspected_and_its_neighbour_is_not_and_a_beat_ends_the_suspicion()
    {
        HostWatch watch = new(time);
        watch.Heard("h1");
        watch.Heard("h2");
        time.Advance(6);
        watch.Heard("h2");
        await using RunningService service = await StartAsync(watch);

        HostSuspected suspected = Assert.IsType<HostSuspected>(await told.NextAsync());
        Assert.Equal(("h1", "silent", 6.0, 5.0), (suspected.HostId, suspected.Reason.Code, suspected.Reason.Observed, suspected.Reason.Limit));

        HostRecovered recovered = Assert.IsType<HostRecovered>(await BeatUntilToldAsync(service, "h1"));
        Assert.Equal(("h1", "beats-again"), (recovered.HostId, recovered.Reason.Code));
        Assert.Equal([suspected, recovered], await service.ReadAsync("health-h1"));
        Assert.Empty(await service.ReadAsync("health-h2"));
    }

    [Fact]
    public async Task a_host_that_is_not_heard_after_a_restart_is_suspected_from_what_the_store_knows()
    {
        HostWatch watch = new(time);
        await using RunningService service = await StartAsync(watch, ("host-h1", [new HostRegistered("h1", "rack-a", 1)]));

        Task<object> next = told.NextAsync();
        using PeriodicTimer moves = new(TimeSpan.FromMilliseconds(50));
        while (!next.IsCompleted)
        {
            await moves.WaitForNextTickAsync();
            time.Advance(6);
        }

        HostSuspected suspected = Assert.IsType<HostSuspected>(await next);
        Assert.Equal(("h1", "not-heard"), (suspected.HostId, suspected.Reason.Code));
    }

    [Fact]
    public async Task a_deadline_that_was_overtaken_by_a_beat_suspects_nobody()
    {
        HostWatch watch = new(time);
        watch.Heard("h1");
        watch.Heard("h2");
        await using RunningService service = await StartAsync(watch);

        await service.Bus.SendAsync("failure-monitor", new HeartbeatDeadline("h1", time.GetUtcNow().AddSeconds(-60)), default);
        await service.Bus.SendAsync("failure-monitor", new HeartbeatDeadline("ghost", time.GetUtcNow().AddSeconds(-60)), default);
        await service.Bus.PublishAsync(Failed("h2"), default);

        Assert.Single(await service.ReadAsync("health-h2", 1));
        Assert.Empty(await service.ReadAsync("health-h1"));
        Assert.Empty(await service.ReadAsync("health-ghost"));
        Assert.True(told.IsEmpty);
    }

    [Fact]
    public async Task outcomes_are_counted_on_their_own_host_and_losers_nowhere()
    {
        await using RunningService service = await StartAsync(new HostWatch(time));

        await service.Bus.PublishAsync(new ReplicaAborted(Operation, 2, 1, "h3", new Reason("lost-the-race", "For a test."), ReplicaCounters.None), default);
        await service.Bus.PublishAsync(new ReplicaCancelled(Operation, 3, 1, "h3", new Reason("cancelled", "For a test."), ReplicaCounters.None), default);
        await service.Bus.PublishAsync(Failed("h1"), default);
        await service.Bus.PublishAsync(new ReplicaResumed(Operation, 1, "h2", DateTimeOffset.UnixEpoch), default);

        AssertCounted("h1", Operation, 0, failed: true, await service.ReadAsync("health-h1", 1));
        AssertCounted("h2", Operation, 1, failed: false, await service.ReadAsync("health-h2", 1));
        Assert.Empty(await service.ReadAsync("health-h3"));
    }

    /// <summary>
    /// Seen in the crash matrix: in every ordinary race the host of a loser that was still receiving was counted as failed, because the source closes its migration stream without
    /// being able to say why.
    /// </summary>
    [Fact]
    public async Task a_replica_that_fails_after_another_ones_commit_has_lost_the_race()
    {
        SpecOpAccepted accepted = new(Operation, OperationKind.Migrate, "vm", 2, [], new CostLimits(60), "pack", "speculative", new VmDefinition(1 << 20), "h0", 1, 3, DateTimeOffset.UnixEpoch, "f", null);
        object[] machine =
        [
            new VmDefined("vm", new VmDefinition(1 << 20)),
            new OperationOpened("vm", Operation, OperationKind.Migrate, 1),
            new OwnershipTransferred("vm", Operation, 1, "h2", 2, 0, "0011223344556677"),
        ];
        await using RunningService service = await StartAsync(
            new HostWatch(time), (EventStreams.OfOperation(Operation), [accepted]), (EventStreams.OfVm("vm"), machine));

        await service.Bus.PublishAsync(Failed("h1"), default);
        Guid other = Guid.NewGuid();
        await service.Bus.PublishAsync(Failed("h1") with { OperationId = other }, default);
        AssertCounted("h1", other, 0, failed: true, await service.ReadAsync("health-h1", 1));
    }

    /// <summary>One outcome, with the time that makes it fade.</summary>
    private static void AssertCounted(string hostId, Guid operation, int replica, bool failed, IReadOnlyList<object> stored)
    {
        ReplicaOutcomeCounted counted = Assert.IsType<ReplicaOutcomeCounted>(Assert.Single(stored));
        Assert.Equal(new ReplicaOutcomeCounted(hostId, operation, replica, failed), counted with { At = null });
        Assert.NotNull(counted.At);
    }

    [Theory]
    [InlineData("0", "5", "HeartbeatSeconds")]
    [InlineData("NaN", "5", "HeartbeatSeconds")]
    [InlineData("1", "1.9", "SuspectAfterSeconds")]
    [InlineData("1", "NaN", "SuspectAfterSeconds")]
    [InlineData("1", "3601", "SuspectAfterSeconds")]
    public async Task a_limit_that_makes_no_sense_keeps_it_from_starting(string heartbeat, string suspectAfter, string named)
    {
        OptionsValidationException wrong = await Assert.ThrowsAsync<OptionsValidationException>(() => RunningService.StartAsync(
            mesh => mesh.AddFailureMonitor(),
            settings: [("SpecMesh:FailureMonitor:HeartbeatSeconds", heartbeat), ("SpecMesh:FailureMonitor:SuspectAfterSeconds", suspectAfter)]));

        Assert.Contains(wrong.Failures, failure => failure.StartsWith($"SpecMesh:FailureMonitor:{named} ", StringComparison.Ordinal));
    }

    private Task<RunningService> StartAsync(HostWatch watch, params (string Stream, object[] Events)[] recorded) => RunningService.StartAsync(
        mesh =>
        {
            mesh.AddFailureMonitor().Endpoint("probe", probe => probe.Receive<HostSuspected>(Note).Receive<HostRecovered>(Note));
            mesh.Services.AddSingleton(watch);
        },
        recorded: recorded,
        settings: [("SpecMesh:FailureMonitor:HeartbeatSeconds", "0.1")]);

    private Task Note(object message, HandlerContext context, CancellationToken cancellationToken)
    {
        told.Add(message);
        return Task.CompletedTask;
    }

    /// <summary>Beats as an agent does, until the monitor says something.</summary>
    private async Task<object> BeatUntilToldAsync(RunningService service, string hostId)
    {
        Task<object> next = told.NextAsync();
        using PeriodicTimer beats = new(TimeSpan.FromMilliseconds(50));
        for (long sequence = 1; !next.IsCompleted; sequence++)
        {
            await beats.WaitForNextTickAsync();
            await service.Bus.PublishAsync(new HostHeartbeat(hostId, "rack-a", 1, "127.0.0.1:7000", "process", null, [], sequence, DateTimeOffset.UnixEpoch), default);
        }

        return await next;
    }

    private static ReplicaFailed Failed(string hostId) => new(Operation, 0, 1, hostId, new Reason("transfer-broken", "For a test."), ReplicaCounters.None);
}
