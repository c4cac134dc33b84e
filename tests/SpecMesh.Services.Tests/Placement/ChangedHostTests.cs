using System.Net.Http.Json;
using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Placement;
using SpecMesh.Services.Tests.Hosting;
using SpecMesh.Services.Tests.ReplicationPolicy;

namespace SpecMesh.Services.Tests.Placement;

/// <summary>What an operator does to a host over HTTP, and the same commands from the bus.</summary>
public sealed class ChangedHostTests : IAsyncLifetime
{
    private static readonly Reason Silent = new("silent", "Not heard for 40 s.");
    private static readonly HostRegistered H1 = new("h1", "rack", 1L << 30), H2 = new("h2", "rack", 1L << 30);
    private static readonly Guid Operation = new("5f1d7e84-7a2b-4c3d-9e8f-000000000001");

    private readonly Seen<object> heard = new();
    private RunningService service = null!;
    private HttpClient http = null!;

    public async Task InitializeAsync()
    {
        service = await RunningService.StartAsync(
            mesh => mesh.AddPlacement()
                .Endpoint("probe", probe => probe.Receive<HostFenced>(Note))
                .Endpoint(HostQueue.Of("h1"), agent => agent.Receive<ReconcileHost>(Note)),
            app => app.MapPlacement(),
            [
                ("host-h1", [H1, new HostReserved("h1", Operation, 0, 4096, DateTimeOffset.UtcNow.AddHours(1))]), ("host-h2", [H2]), ("health-h1", [new HostSuspected("h1", Silent)]),
                (EventStreams.OfOperation(Operation), [new SpecOpSettled(Operation, 0, null)]),
            ],
            PlacementService.Queue);
        http = service.NewClient();
        await http.GetFromJsonAsync<HostView[]>("/v1/hosts", ContractJson.Strict);
    }

    public async Task DisposeAsync()
    {
        http.Dispose();
        await service.DisposeAsync();
    }

    [Fact]
    public async Task a_silent_host_is_fenced_by_its_name_and_told_about_once()
    {
        Answer answer = await http.CallAsync("/v1/hosts/h1/fence", new HostFenceRequest("h1"));
        Assert.Equal(202, answer.Status);
        Assert.Equal(new HostFenced("h1", "alice", Silent), await heard.NextAsync());
        Assert.Equal(202, (await http.CallAsync("/v1/hosts/h1/fence", new HostFenceRequest("h1"))).Status);
        Assert.Single((await service.ReadAsync("host-h1")).OfType<HostFenced>());
        Assert.True(heard.IsEmpty);
    }

    [Theory]
    [InlineData("h1", null, 400, "confirm")]
    [InlineData("h1", "h2", 400, "confirm")]
    [InlineData("h2", "h2", 409, "hostId")]
    [InlineData("h9", "h9", 404, "hostId")]
    [InlineData("NO NAME", "NO NAME", 404, "hostId")]
    public async Task a_confirmation_that_is_none_or_of_a_host_that_lives_changes_nothing(string host, string? confirm, int status, string field)
    {
        Answer answer = await http.CallAsync($"/v1/hosts/{Uri.EscapeDataString(host)}/fence", new HostFenceRequest(confirm));
        Assert.Equal((status, field), (answer.Status, answer.Field));
        Assert.Equal([H2], await service.ReadAsync("host-h2"));
        Assert.Equal(2, (await service.ReadAsync("host-h1")).Count);
    }

    [Fact]
    public async Task a_fence_from_the_bus_is_the_same_decision()
    {
        await service.Bus.PublishAsync(new FenceHost("h2", "device"), default);
        await service.Bus.PublishAsync(new FenceHost("h1", "device"), default);
        Assert.Equal("device", Assert.IsType<HostFenced>(await heard.NextAsync()).By);
        Assert.Single(await service.ReadAsync("host-h2"));
    }

    [Fact]
    public async Task maintenance_begins_and_ends_and_a_body_that_says_neither_is_refused()
    {
        Assert.Equal(202, (await http.CallAsync("/v1/hosts/h2/maintenance", new HostMaintenanceRequest(true))).Status);
        Assert.Equal(202, (await http.CallAsync("/v1/hosts/h2/maintenance", new HostMaintenanceRequest(false))).Status);
        Answer neither = await http.CallAsync("/v1/hosts/h2/maintenance", new HostMaintenanceRequest());
        Assert.Equal((400, "inMaintenance"), (neither.Status, neither.Field));
        Assert.Equal([true, false], (await service.ReadAsync("host-h2")).OfType<HostMaintenanceChanged>().Select(changed => changed.InMaintenance));
    }

    [Fact]
    public async Task a_host_that_is_to_reconcile_hears_of_it_and_its_leases_without_operation_end()
    {
        Assert.Equal(202, (await http.CallAsync("/v1/hosts/h1/reconcile", new HostReconcileRequest(true))).Status);
        Assert.Equal(new ReconcileHost("h1", true), await heard.NextAsync());
        Assert.Equal(Operation, Assert.IsType<ReservationReleased>((await service.ReadAsync("host-h1", 3))[2]).OperationId);
    }

    private Task Note(object message, HandlerContext context, CancellationToken cancellationToken)
    {
        heard.Add(message);
        return Task.CompletedTask;
    }
}
