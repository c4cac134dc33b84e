using System.Net.Http.Json;
using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Placement;
using SpecMesh.Services.Tests.Hosting;
using SpecMesh.Speculation.Placement;

namespace SpecMesh.Services.Tests.Placement;

/// <summary>Every consumer of placement once, with a neighbour beside it that must stay as it is.</summary>
public class PlacementServiceTests
{
    private const long Memory = 1L << 30;

    private static readonly Guid Operation = new("5f1d7e84-7a2b-4c3d-9e8f-000000000001");
    private static readonly Guid Neighbour = new("5f1d7e84-7a2b-4c3d-9e8f-000000000002");
    private static readonly Reason Why = new("test", "For a test.");

    private readonly Seen<object> answers = new();

    [Fact]
    public async Task a_beat_registers_its_own_host_and_says_nothing_of_another()
    {
        await using RunningService service = await StartAsync();

        await service.Bus.PublishAsync(Beat("h1", Memory), default);

        Assert.Equal(new HostRegistered("h1", "rack-h1", Memory), Assert.Single(await service.ReadAsync("host-h1", 1)));
        Assert.Empty(await service.ReadAsync("host-h2"));
        await service.Bus.PublishAsync(Beat("h1", 2 * Memory), default);
        Assert.Equal(new HostRegistered("h1", "rack-h1", 2 * Memory), (await service.ReadAsync("host-h1", 2))[1]);
    }

    [Fact]
    public async Task a_request_for_hosts_is_answered_and_reserved_under_its_own_operation()
    {
        await using RunningService service = await StartAsync(Host("h1"), Host("h2", new HostReserved("h2", Neighbour, 0, Memory, InAnHour)));

        await service.Bus.PublishAsync(Select(Operation, count: 2), default);

        TargetsReserved answer = Assert.IsType<TargetsReserved>(await answers.NextAsync());
        Assert.Equal((Operation, 0), (answer.OperationId, answer.Request));
        Assert.Equal(["h1", "h2"], answer.HostIds);
        Assert.Equal((Operation, Memory), ReservedIn((await service.ReadAsync("host-h1", 2))[1]));
        Assert.Equal((Operation, Memory), ReservedIn((await service.ReadAsync("host-h2", 3))[2]));
    }

    [Fact]
    public async Task the_same_request_twice_is_answered_twice_and_reserved_once()
    {
        await using RunningService service = await StartAsync(Host("h1"), Host("h2"));

        await service.Bus.PublishAsync(Select(Operation), default);
        TargetsReserved first = Assert.IsType<TargetsReserved>(await answers.NextAsync());
        await service.Bus.PublishAsync(Select(Operation), default);
        TargetsReserved second = Assert.IsType<TargetsReserved>(await answers.NextAsync());

        Assert.Equal(first.HostIds, second.HostIds);
        Assert.Equal(3, (await service.ReadAsync("host-h1")).Count + (await service.ReadAsync("host-h2")).Count);
    }

    [Fact]
    public async Task a_suspected_host_is_not_chosen_and_the_refusal_says_so()
    {
        await using RunningService service = await StartAsync(Host("h1"), ("health-h1", [new HostSuspected("h1", Why)]));

        await service.Bus.PublishAsync(Select(Operation), default);

        TargetsRefused answer = Assert.IsType<TargetsRefused>(await answers.NextAsync());
        Assert.Equal((Operation, "no-fitting-hosts"), (answer.OperationId, answer.Reason.Code));
        Assert.Contains("1 suspected", answer.Reason.Detail, StringComparison.Ordinal);
        Assert.Single(await service.ReadAsync("host-h1"));
    }

    [Fact]
    public async Task a_request_with_an_epsilon_gets_as_many_hosts_as_their_health_asks_for()
    {
        ReplicaOutcomeCounted[] won = [.. Enumerable.Range(0, 60).Select(i => new ReplicaOutcomeCounted("h2", new Guid(i, 0, 0, [0, 0, 0, 0, 0, 0, 0, 2]), 0, false, DateTimeOffset.UtcNow))];
        await using RunningService service = await StartAsync(Host("h1"), Host("h2"), Host("h3"), ("health-h2", won));
        SelectTargets adaptive = Select(Operation, 3) with { AcceptFewer = true, Replication = new ReplicationWish("adaptive", 0.01, 3) };

        await service.Bus.PublishAsync(adaptive, default);
        await service.Bus.PublishAsync(adaptive with { OperationId = Neighbour, Excluded = ["h2"], Replication = new ReplicationWish("adaptive", 0.0001, 3) }, default);
        IReadOnlyList<object> all = await answers.NextAsync(2);

        Assert.Equal(["h2"], all.OfType<TargetsReserved>().Single(answer => answer.OperationId == Operation).HostIds);
        Assert.Equal(["h1", "h3"], all.OfType<TargetsReserved>().Single(answer => answer.OperationId == Neighbour).HostIds);
        HostView[] shown = await ListUntilAsync(service, list => list.Length == 3);
        Assert.True(shown[1].FailureProbability < shown[0].FailureProbability);
    }

    [Fact]
    public async Task requests_at_the_same_moment_never_promise_the_same_memory_twice()
    {
        await using RunningService service = await StartAsync(Host("h1", Memory * 4));
        Guid[] operations = [.. Enumerable.Range(1, 8).Select(i => new Guid(i, 0, 0, [0, 0, 0, 0, 0, 0, 0, 1]))];

        await Task.WhenAll(operations.Select(operation => service.Bus.PublishAsync(Select(operation), default)));
        IReadOnlyList<object> all = await answers.NextAsync(operations.Length);

        Assert.Equal(4, all.OfType<TargetsReserved>().Count());
        Assert.Equal(4, all.OfType<TargetsRefused>().Count());
        Assert.Equal(
            all.OfType<TargetsReserved>().Select(answer => answer.OperationId).Order(),
            (await service.ReadAsync("host-h1")).OfType<HostReserved>().Select(reserved => reserved.OperationId).Order());
    }

    [Fact]
    public async Task a_release_ends_the_operation_s_own_reservation_only()
    {
        await using RunningService service = await StartAsync(Host("h1", Reserved("h1", Neighbour), Reserved("h1", Operation)));

        await service.Bus.PublishAsync(new ReleaseTargets(Operation, ["h1"]), default);

        Assert.Equal((Operation, "released"), ReleasedIn((await service.ReadAsync("host-h1", 4))[3]));
    }

    [Fact]
    public async Task a_reservation_that_ends_takes_its_lease_s_deadline_back_and_no_neighbour_s()
    {
        await using RunningService service = await StartAsync(Host("h1"));
        await service.Bus.PublishAsync(Select(Operation), default);
        await answers.NextAsync();
        DateTimeOffset? ofTheOperation = await service.NextDeadlineAsync(PlacementService.Queue);
        await service.Bus.PublishAsync(Select(Neighbour) with { LeaseUntil = DateTimeOffset.UtcNow.AddHours(2) }, default);
        await answers.NextAsync();

        await service.Bus.PublishAsync(new ReleaseTargets(Operation, ["h1"]), default);
        await service.ReadAsync("host-h1", 4);

        DateTimeOffset? left = await service.NextDeadlineAsync(PlacementService.Queue);
        Assert.NotNull(ofTheOperation);
        Assert.True(left > ofTheOperation.Value.AddMinutes(30), $"The first deadline is at {ofTheOperation}, the next one now at {left}.");
    }

    [Fact]
    public async Task a_completed_operation_allocates_its_winner_only()
    {
        await using RunningService service = await StartAsync(Racing());
        SpecOpCompleted completed = new(Operation, "vm-a", OperationOutcome.Succeeded, 0, "h1", "source", Why);
        await service.RecordAsync((EventStreams.OfOperation(Operation), [completed]));

        await service.Bus.PublishAsync(completed, default);

        IReadOnlyList<object> winner = await service.ReadAsync("host-h1", 5);
        Assert.Equal(new VmAllocated("h1", "vm-a", Memory), winner[3]);
        Assert.Equal((Operation, "won"), ReleasedIn(winner[4]));
        Assert.Equal(2, (await service.ReadAsync("host-h2")).Count);
        Assert.Equal(3, (await service.ReadAsync("host-source")).Count);
    }

    [Fact]
    public async Task a_cleaned_loser_of_a_completed_operation_gives_its_own_memory_back()
    {
        await using RunningService service = await StartAsync(Racing(new SpecOpCompleted(Operation, "vm-a", OperationOutcome.Succeeded, 0, "h1", "source", Why)));

        await service.Bus.PublishAsync(new ReplicaCleaned(Operation, 1, "h2"), default);

        Assert.Equal((Operation, "cleaned"), ReleasedIn((await service.ReadAsync("host-h2", 3))[2]));
        Assert.Equal(3, (await service.ReadAsync("host-h1")).Count);
    }

    [Fact]
    public async Task a_settled_operation_holds_nothing_and_its_neighbours_keep_what_they_have()
    {
        await using RunningService service = await StartAsync(Racing(
            new SpecOpCompleted(Operation, "vm-a", OperationOutcome.Succeeded, 0, "h1", "source", Why), new SpecOpSettled(Operation, 0, 1.5)));

        await service.Bus.PublishAsync(new SpecOpSettled(Operation, 0, 1.5), default);

        Assert.Equal(new VmDeallocated("source", "vm-a"), (await service.ReadAsync("host-source", 4))[3]);
        Assert.Equal((Operation, "settled"), ReleasedIn((await service.ReadAsync("host-h2", 3))[2]));
        IReadOnlyList<object> winner = await service.ReadAsync("host-h1", 5);
        Assert.Equal(new VmAllocated("h1", "vm-a", Memory), winner[3]);
        Assert.Equal((Operation, "won"), ReleasedIn(winner[4]));
    }

    [Fact]
    public async Task a_lapsed_lease_of_an_unknown_operation_is_released_and_one_that_goes_on_is_extended()
    {
        DateTimeOffset past = DateTimeOffset.UtcNow.AddMinutes(-1);
        await using RunningService service = await StartAsync(
            Host("h1", Reserved("h1", Operation, past), Reserved("h1", Neighbour, past)),
            (EventStreams.OfOperation(Neighbour), [Accepted(Neighbour)]));

        await service.Bus.PublishAsync(new ReservationDeadline("h1", Operation), default);
        Assert.Equal((Operation, "lease-lapsed"), ReleasedIn((await service.ReadAsync("host-h1", 4))[3]));
        await service.Bus.PublishAsync(new ReservationDeadline("h1", Neighbour), default);

        HostReserved extended = Assert.IsType<HostReserved>((await service.ReadAsync("host-h1", 5))[4]);
        Assert.Equal(Neighbour, extended.OperationId);
        Assert.True(extended.LeaseUntil > past.AddMinutes(1));
    }

    [Fact]
    public async Task a_lease_lapses_without_anybody_asking()
    {
        await using RunningService service = await StartAsync(Host("h1"));

        await service.Bus.PublishAsync(Select(Operation) with { LeaseUntil = DateTimeOffset.UtcNow.AddSeconds(2) }, default);

        IReadOnlyList<object> events = await service.ReadAsync("host-h1", 3);
        Assert.Equal((Operation, Memory), ReservedIn(events[1]));
        Assert.Equal((Operation, "lease-lapsed"), ReleasedIn(events[2]));
    }

    [Fact]
    public async Task maintenance_is_that_of_one_host_and_none_of_an_unknown_one()
    {
        await using RunningService service = await StartAsync(Host("h1"), Host("h2"));

        await service.Bus.PublishAsync(new SetHostMaintenance("ghost", true, "operator"), default);
        await service.Bus.PublishAsync(new SetHostMaintenance("h1", true, "operator"), default);

        Assert.Equal(new HostMaintenanceChanged("h1", true, "operator"), (await service.ReadAsync("host-h1", 2))[1]);
        Assert.Single(await service.ReadAsync("host-h2"));
        Assert.Empty(await service.ReadAsync("host-ghost"));
    }

    [Fact]
    public async Task the_list_of_hosts_shows_capacity_health_and_the_last_beat()
    {
        await using RunningService service = await StartAsync(
            Host("h1", Reserved("h1", Operation), new VmAllocated("h1", "vm-a", Memory), new HostMaintenanceChanged("h1", true, null)),
            Host("h2"),
            ("health-h1", [new HostSuspected("h1", Why)]));

        // The answer comes only when the service has read every host and heard the beat; a beat of a new host marks that moment.
        await service.Bus.PublishAsync(Beat("h2", 8 * Memory), default);
        HostView[] hosts = await ListUntilAsync(service, list => list.Length == 2 && list[1].SecondsSinceBeat is not null && list[0].Suspicion is not null);

        Assert.Equal(
            ("h1", 8 * Memory, Memory, Memory, 6 * Memory, true, Why),
            (hosts[0].HostId, hosts[0].MemoryBytes, hosts[0].AllocatedBytes, hosts[0].ReservedBytes, hosts[0].FreeBytes, hosts[0].InMaintenance, hosts[0].Suspicion));
        Assert.Null(hosts[0].SecondsSinceBeat);
        Assert.Equal(("h2", "pagemap-scan", "vm-b", null), (hosts[1].HostId, hosts[1].DirtyTracker, Assert.Single(hosts[1].Guests).VmId, hosts[1].Suspicion));
    }

    [Fact]
    public async Task memory_of_a_guest_that_its_agent_no_longer_lists_is_freed_and_what_an_open_operation_moves_is_not()
    {
        await using RunningService service = await StartAsync(
            Host("h1", new VmAllocated("h1", "vm-b", Memory), new VmAllocated("h1", "vm-gone", Memory), new VmAllocated("h1", "vm-moving", Memory)),
            Host("h2", new VmAllocated("h2", "vm-gone", Memory), new VmAllocated("h2", "vm-b", Memory)),
            (EventStreams.OfVm("vm-moving"), [new OperationOpened("vm-moving", Operation, OperationKind.Migrate, 1)]));

        await BeatAsync(service, "h1", GuestSightings.Patience * 2);

        Assert.Equal(new VmDeallocated("h1", "vm-gone"), (await service.ReadAsync("host-h1", 5))[4]);
        Assert.Equal(3, (await service.ReadAsync("host-h2")).Count);
    }

    [Fact]
    public async Task a_machine_that_runs_on_its_owner_and_is_not_allocated_there_is_allocated()
    {
        await using RunningService service = await StartAsync(
            Host("h1"), Host("h2"), (EventStreams.OfVm("vm-b"), [new OwnershipTransferred("vm-b", Operation, 0, "h1", 1, 0, "00")]));

        await BeatAsync(service, "h2", GuestSightings.Patience);
        await BeatAsync(service, "h1", GuestSightings.Patience);

        Assert.Equal(new VmAllocated("h1", "vm-b", Memory), (await service.ReadAsync("host-h1", 2))[1]);
        Assert.Single(await service.ReadAsync("host-h2"));
    }

    private static DateTimeOffset InAnHour => DateTimeOffset.UtcNow.AddHours(1);

    private Task<RunningService> StartAsync(params (string Stream, object[] Events)[] recorded) => RunningService.StartAsync(
        mesh => mesh.AddPlacement().Endpoint("probe", probe => probe.Receive<TargetsReserved>(Note).Receive<TargetsRefused>(Note)),
        app => app.MapPlacement(),
        recorded,
        PlacementService.Queue);

    private Task Note(object message, HandlerContext context, CancellationToken cancellationToken)
    {
        answers.Add(message);
        return Task.CompletedTask;
    }

    /// <summary>vm-a runs on the host source and is raced to h1 and h2; another operation holds memory on h1 and on the source.</summary>
    private static (string Stream, object[] Events)[] Racing(params object[] ending) =>
    [
        Host("source", new VmAllocated("source", "vm-a", Memory), Reserved("source", Neighbour)),
        Host("h1", Reserved("h1", Neighbour), Reserved("h1", Operation)),
        Host("h2", Reserved("h2", Operation)),
        (EventStreams.OfOperation(Operation), [Accepted(Operation), new ReplicasPlanned(Operation, [new(0, "h1"), new(1, "h2")], Why), .. ending]),
        (EventStreams.OfVm("vm-a"), [new OwnershipTransferred("vm-a", Operation, 0, "h1", 2, 0, "00")]),
    ];

    private static (string Stream, object[] Events) Host(string hostId, params object[] events) => Host(hostId, 8 * Memory, events);

    private static (string Stream, object[] Events) Host(string hostId, long memory, params object[] events) =>
        ($"host-{hostId}", [new HostRegistered(hostId, $"rack-{hostId}", memory), .. events]);

    private static HostReserved Reserved(string hostId, Guid operation, DateTimeOffset? until = null) => new(hostId, operation, 0, Memory, until ?? InAnHour);

    private static SelectTargets Select(Guid operation, int count = 1) => new(operation, 0, count, [], [], Memory, "least-loaded", false, InAnHour);

    private static SpecOpAccepted Accepted(Guid operation) => new(
        operation, OperationKind.Migrate, "vm-a", 2, [], new CostLimits(), "random", "speculative", new VmDefinition(Memory), "source", 1, 2, InAnHour, "fingerprint", null);

    private static HostHeartbeat Beat(string hostId, long memory) => new(
        hostId, $"rack-{hostId}", memory, "127.0.0.1:7000", "process", "pagemap-scan", [new HostedGuest("vm-b", GuestState.Running, Memory, null, null)], 1, DateTimeOffset.UtcNow);

    /// <summary>Beats that list <c>vm-b</c>, each handled before the next one is sent: the list of hosts shows which beat was the last.</summary>
    private static async Task BeatAsync(RunningService service, string hostId, int count)
    {
        for (int sequence = 1; sequence <= count; sequence++)
        {
            string endpoint = $"127.0.0.1:{7000 + sequence}";
            await service.Bus.PublishAsync(Beat(hostId, 8 * Memory) with { Sequence = sequence, DataEndpoint = endpoint }, default);
            await ListUntilAsync(service, list => list.Any(host => host.HostId == hostId && host.DataEndpoint == endpoint));
        }
    }

    private static (Guid OperationId, long MemoryBytes) ReservedIn(object stored) => stored is HostReserved reserved ? (reserved.OperationId, reserved.MemoryBytes) : default;

    private static (Guid OperationId, string? Code) ReleasedIn(object stored) => stored is ReservationReleased released ? (released.OperationId, released.Reason.Code) : default;

    private static async Task<HostView[]> ListUntilAsync(RunningService service, Func<HostView[], bool> complete)
    {
        using HttpClient client = service.NewClient();
        using CancellationTokenSource patience = new(Mesh.Patience);
        while (true)
        {
            HostView[] hosts = (await client.GetFromJsonAsync<HostView[]>("/v1/hosts", ContractJson.Strict, patience.Token))!;
            if (complete(hosts))
            {
                return hosts;
            }
        }
    }
}
