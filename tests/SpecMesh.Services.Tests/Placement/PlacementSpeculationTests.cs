using Microsoft.Extensions.Options;
using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Placement;
using SpecMesh.Services.Tests.Hosting;

namespace SpecMesh.Services.Tests.Placement;

/// <summary>What one live request leaves behind for the number of the next one's replicas, and the settings that lay it down.</summary>
public class PlacementSpeculationTests
{
    private const long Memory = 1L << 30;

    private static readonly Guid Operation = new("5f1d7e84-7a2b-4c3d-9e8f-000000000001");
    private static readonly Guid Neighbour = new("5f1d7e84-7a2b-4c3d-9e8f-000000000002");
    private static readonly (string Key, string Value)[] TwoReplicasOnce =
    [
        ("SpecMesh:Placement:Budget", "token-bucket"),
        ("SpecMesh:Placement:BudgetBurstReplicas", "2"),
        ("SpecMesh:Placement:BudgetSharePercent", "0"),
        ("SpecMesh:Placement:BudgetReplicasPerSecond", "0"),
    ];

    private readonly Seen<object> answers = new();

    [Fact]
    public async Task requests_at_the_same_moment_share_one_budget()
    {
        await using RunningService service = await StartAsync(TwoReplicasOnce, Hosts("h1", "h2", "h3", "h4"));
        Guid[] operations = [.. Enumerable.Range(1, 6).Select(i => new Guid(i, 0, 0, [0, 0, 0, 0, 0, 0, 0, 1]))];

        await Task.WhenAll(operations.Select(operation => service.Bus.PublishAsync(Select(operation, 2), default)));
        TargetsReserved[] all = [.. (await answers.NextAsync(operations.Length)).OfType<TargetsReserved>()];

        Assert.Equal([1, 1, 1, 1, 2, 2], all.Select(answer => answer.HostIds.Count).Order());
        Assert.All(all.Where(answer => answer.HostIds.Count == 1), answer => Assert.Equal(("speculation-budget", 2.0, 1.0), Seen(Assert.Single(answer.Verdicts!))));
        Assert.Equal(
            operations.Order(), (await service.ReadAsync(EventStreams.Speculation, operations.Length)).OfType<SpeculationDecided>().Select(decided => decided.OperationId).Order());
    }

    [Fact]
    public async Task a_service_that_starts_anew_goes_on_with_what_is_left()
    {
        SpeculationDecided spent = new(Neighbour, 0, 3, 3, null, 0.25, null, [], DateTimeOffset.UtcNow);
        await using RunningService service = await StartAsync(TwoReplicasOnce, [.. Hosts("h1", "h2"), (EventStreams.Speculation, [spent])]);

        await service.Bus.PublishAsync(Select(Operation, 2), default);

        Assert.Single(Assert.IsType<TargetsReserved>(await answers.NextAsync()).HostIds);
        SpeculationDecided decided = Assert.IsType<SpeculationDecided>((await service.ReadAsync(EventStreams.Speculation, 2))[1]);
        Assert.Equal((Operation, 2, 1, 0.25), (decided.OperationId, decided.WantedReplicas, decided.Replicas, decided.BudgetReplicas));
    }

    [Fact]
    public async Task without_a_budget_a_request_by_number_gets_its_number_and_records_nothing_of_it()
    {
        await using RunningService service = await StartAsync([], Hosts("h1", "h2", "h3"));

        await service.Bus.PublishAsync(Select(Operation, 3), default);

        TargetsReserved reserved = Assert.IsType<TargetsReserved>(await answers.NextAsync());
        Assert.Equal(3, reserved.HostIds.Count);
        Assert.Null(reserved.Verdicts);
        Assert.Empty(await service.ReadAsync(EventStreams.Speculation));
    }

    [Fact]
    public async Task an_adaptive_request_is_compared_with_the_one_before_and_tries_an_avoided_host_again()
    {
        ReplicaOutcomeCounted[] failed = [.. Enumerable.Range(1, 3).Select(i => new ReplicaOutcomeCounted("h3", new Guid(i, 0, 0, [0, 0, 0, 0, 0, 0, 0, 2]), 0, true, DateTimeOffset.UtcNow.AddHours(-1)))];
        SpeculationDecided before = new(Neighbour, 0, 2, 2, "adaptive 0.09 of 4", null, null, [], DateTimeOffset.UtcNow);
        await using RunningService service = await StartAsync([], [.. Hosts("h1", "h2", "h3"), ("health-h3", failed), (EventStreams.Speculation, [before])]);

        await service.Bus.PublishAsync(Select(Operation, 4) with { Replication = new ReplicationWish("adaptive", 0.09, 4) }, default);

        TargetsReserved reserved = Assert.IsType<TargetsReserved>(await answers.NextAsync());
        Assert.Equal(["h1", "h2", "h3"], reserved.HostIds);
        Assert.Equal(["epsilon-reached", "hysteresis", "probe"], reserved.Verdicts!.Select(verdict => verdict.Code));
        Assert.All(reserved.Verdicts!, verdict => Assert.NotNull(verdict.Observed ?? verdict.Limit));
        SpeculationDecided decided = Assert.IsType<SpeculationDecided>((await service.ReadAsync(EventStreams.Speculation, 2))[1]);
        Assert.Equal((2, 3, "adaptive 0.09 of 4", "h3"), (decided.WantedReplicas, decided.Replicas, decided.Kind, decided.ProbedHostId));
    }

    [Theory]
    [InlineData("Budget", "generous")]
    [InlineData("BudgetSharePercent", "-1")]
    [InlineData("BudgetSharePercent", "NaN")]
    [InlineData("BudgetBurstReplicas", "-0.5")]
    [InlineData("BudgetReplicasPerSecond", "1e9")]
    [InlineData("AdaptiveLowerMargin", "0")]
    [InlineData("AdaptiveLowerMargin", "1.1")]
    [InlineData("ProbeAfterSeconds", "-1")]
    [InlineData("ProbeEverySeconds", "90000")]
    public async Task a_setting_that_makes_no_sense_keeps_it_from_starting(string setting, string value)
    {
        OptionsValidationException wrong = await Assert.ThrowsAsync<OptionsValidationException>(() => StartAsync([($"SpecMesh:Placement:{setting}", value)]));

        Assert.StartsWith($"SpecMesh:Placement:{setting} is ", Assert.Single(wrong.Failures), StringComparison.Ordinal);
    }

    [Fact]
    public async Task all_wrong_settings_are_named_at_once()
    {
        OptionsValidationException wrong = await Assert.ThrowsAsync<OptionsValidationException>(
            () => StartAsync([("SpecMesh:Placement:Budget", ""), ("SpecMesh:Placement:AdaptiveLowerMargin", "2")]));

        Assert.Equal(2, wrong.Failures.Count());
    }

    private static (string Code, double? Observed, double? Limit) Seen(Reason verdict) => (verdict.Code, verdict.Observed, verdict.Limit);

    private static (string Stream, object[] Events)[] Hosts(params string[] hostIds) =>
        [.. hostIds.Select(hostId => ($"host-{hostId}", new object[] { new HostRegistered(hostId, $"rack-{hostId}", 64 * Memory) }))];

    private static SelectTargets Select(Guid operation, int count) => new(operation, 0, count, [], [], Memory, "least-loaded", true, DateTimeOffset.UtcNow.AddHours(1));

    private Task<RunningService> StartAsync((string Key, string Value)[] settings, params (string Stream, object[] Events)[] recorded) => RunningService.StartAsync(
        mesh => mesh.AddPlacement().Endpoint("probe", probe => probe.Receive<TargetsReserved>(Note).Receive<TargetsRefused>(Note)),
        app => app.MapPlacement(),
        recorded,
        settings: settings);

    private Task Note(object message, HandlerContext context, CancellationToken cancellationToken)
    {
        answers.Add(message);
        return Task.CompletedTask;
    }
}
