using SpecMesh.Contracts;

namespace SpecMesh.Services.Tests.ReplicationPolicy;

/// <summary>What the service shows of operations and machines, and <c>DELETE</c>.</summary>
public class ReadTests(RunningPolicy policy) : IClassFixture<RunningPolicy>
{
    [Fact]
    public async Task an_operation_is_shown_with_its_own_replicas()
    {
        (Guid id, string vm) = await RecordAsync(Given.Won);
        (Guid neighbour, _) = await RecordAsync(Given.Racing);

        OperationView view = (await policy.Http.GetAnswerAsync($"/v1/operations/{id}")).As<OperationView>();
        OperationView other = (await policy.Http.GetAnswerAsync($"/v1/operations/{neighbour}")).As<OperationView>();

        Assert.Equal((id, vm, "Completed", OperationOutcome.Succeeded, "h1", 0), (view.OperationId, view.VmId, view.Phase, view.Outcome, view.WinnerHostId, view.WinnerReplica));
        Assert.Equal(
            [(0, "h1", "Ended", ReplicaOutcome.Won), (1, "h2", "Ended", ReplicaOutcome.Aborted)],
            view.Replicas.Select(replica => (replica.Replica, replica.HostId, replica.Phase, replica.Outcome!.Value)));
        Assert.Equal(("Racing", null, null), (other.Phase, other.Outcome, other.WinnerHostId));
    }

    [Fact]
    public async Task an_operation_shows_why_it_has_so_many_replicas_and_a_list_does_not()
    {
        Reason cut = new("speculation-budget", "The cluster's budget allows fewer.", 3, 2);
        (Guid id, _) = await RecordAsync((operation, vm) => [Given.Accepted(operation, vm), Given.Planned(operation, "h1", "h2") with { Verdicts = [cut] }]);

        Assert.Equal([Given.Why, cut], (await policy.Http.GetAnswerAsync($"/v1/operations/{id}")).As<OperationView>().Verdicts!);
        OperationView[] list = await UntilAsync<OperationView>("/v1/operations", list => list.Any(view => view.OperationId == id));
        Assert.All(list, view => Assert.Null(view.Verdicts));
    }

    [Fact]
    public async Task a_refused_request_can_be_looked_at()
    {
        Guid id = Guid.NewGuid();
        await policy.Service.RecordAsync((EventStreams.OfOperation(id), [new SpecOpRefused(id, "x", "sq", Given.Why)]));

        OperationView view = (await policy.Http.GetAnswerAsync($"/v1/operations/{id}")).As<OperationView>();

        Assert.Equal(("Refused", "sq", Given.Why, "x"), (view.Phase, view.Field, view.Reason, view.VmId));
    }

    [Fact]
    public async Task the_list_has_the_latest_first_and_no_more_than_asked_for()
    {
        (Guid older, _) = await RecordAsync(Given.Racing);
        (Guid newer, _) = await RecordAsync(Given.Racing);
        OperationView[] all = await UntilAsync<OperationView>("/v1/operations", list => list.Any(view => view.OperationId == newer));

        OperationView[] one = (await policy.Http.GetAnswerAsync("/v1/operations?limit=1")).As<OperationView[]>();

        Assert.Equal([newer, older], all.Take(2).Select(view => view.OperationId));
        Assert.Equal(newer, Assert.Single(one).OperationId);
    }

    [Theory]
    [InlineData("0")]
    [InlineData("501")]
    [InlineData("-1")]
    [InlineData("ten")]
    [InlineData("1.5")]
    [InlineData("99999999999")]
    [InlineData("")]
    public async Task a_limit_that_is_none_is_refused(string limit)
    {
        Answer answer = await policy.Http.GetAnswerAsync($"/v1/operations?limit={limit}");

        Assert.Equal((400, "limit"), (answer.Status, answer.Field));
    }

    [Fact]
    public async Task a_machine_is_shown_with_its_owner_and_operation()
    {
        string vm = Given.NewVm(), neighbour = Given.NewVm();
        Guid id = Guid.NewGuid();
        await policy.Service.RecordAsync(Given.MovingVm(vm, id), Given.RunningVm(neighbour));

        Assert.Equal(new VmView(vm, Given.Vm, "source", Given.Epoch, id, MachineState.Running), (await policy.Http.GetAnswerAsync($"/v1/vms/{vm}")).As<VmView>());
        VmView[] list = await UntilAsync<VmView>("/v1/vms", list => list.Any(view => view.VmId == neighbour));
        Assert.Equal(new VmView(neighbour, Given.Vm, "source", Given.Epoch, null, MachineState.Running), list.Single(view => view.VmId == neighbour));
        Assert.Equal(list.Select(view => view.VmId).Order(StringComparer.Ordinal), list.Select(view => view.VmId));
    }

    [Theory]
    [InlineData("/v1/operations/5f1d7e84-7a2b-4c3d-9e8f-0000000000ff", "id")]
    [InlineData("/v1/operations/5f1d7e84-7a2b-4c3d-9e8f-0000000000ff/events", "id")]
    [InlineData("/v1/operations/not-an-id", null)]
    [InlineData("/v1/vms/no-such-vm", "vmId")]
    [InlineData("/v1/vms/UPPER", "vmId")]
    [InlineData("/v1/vms/a%2F..%2Fb", "vmId")]
    public async Task what_is_not_there_is_not_found(string path, string? field)
    {
        Answer answer = await policy.Http.GetAnswerAsync(path);

        Assert.Equal((404, field), (answer.Status, answer.Field));
    }

    [Fact]
    public async Task a_cancellation_ends_its_own_operation_once_however_often_it_is_asked_for()
    {
        (Guid id, string vm) = await RecordAsync(Given.Racing);
        (Guid neighbour, _) = await RecordAsync(Given.Racing);

        Answer first = await policy.Http.DeleteAnswerAsync($"/v1/operations/{id}");
        IReadOnlyList<object> events = await policy.Service.ReadAsync(EventStreams.OfOperation(id));
        Answer second = await policy.Http.DeleteAnswerAsync($"/v1/operations/{id}");

        Assert.Equal((202, 202), (first.Status, second.Status));
        Assert.Equal(OperationOutcome.Cancelled, first.As<OperationView>().Outcome);
        Assert.Equal(first.Body, second.Body);
        Assert.Equal(new CancelRequested(id, "alice"), events[4]);
        Assert.Equal(events.Count, (await policy.Service.ReadAsync(EventStreams.OfOperation(id))).Count);
        Assert.IsType<OperationClosed>((await policy.Service.ReadAsync(EventStreams.OfVm(vm)))[^1]);
        Assert.Equal(4, (await policy.Service.ReadAsync(EventStreams.OfOperation(neighbour))).Count);
    }

    [Fact]
    public async Task a_cancellation_that_comes_after_the_commit_changes_nothing()
    {
        (Guid id, _) = await RecordAsync(Given.Won);

        Answer late = await policy.Http.DeleteAnswerAsync($"/v1/operations/{id}");

        Assert.Equal((202, OperationOutcome.Succeeded), (late.Status, late.As<OperationView>().Outcome));
        Assert.Equal(7, (await policy.Service.ReadAsync(EventStreams.OfOperation(id))).Count);
    }

    [Fact]
    public async Task an_operation_that_never_was_cannot_be_cancelled()
    {
        Guid id = Guid.NewGuid();

        Assert.Equal((404, "id"), await policy.Http.DeleteAnswerAsync($"/v1/operations/{id}") is var answer ? (answer.Status, answer.Field) : default);
        Assert.Empty(await policy.Service.ReadAsync(EventStreams.OfOperation(id)));
    }

    private async Task<(Guid Operation, string Vm)> RecordAsync(Func<Guid, string, object[]> events)
    {
        Guid operation = Guid.NewGuid();
        string vm = Given.NewVm();
        await policy.Service.RecordAsync(Given.MovingVm(vm, operation), (EventStreams.OfOperation(operation), events(operation, vm)));
        return (operation, vm);
    }

    /// <summary>Lists are behind the store by moments. Every answer waits for real work, so the loop paces itself by that.</summary>
    private async Task<T[]> UntilAsync<T>(string path, Func<T[], bool> complete)
    {
        using CancellationTokenSource patience = new(Hosting.Mesh.Patience);
        while (true)
        {
            T[] list = (await policy.Http.GetAnswerAsync(path)).As<T[]>();
            if (complete(list))
            {
                return list;
            }

            patience.Token.ThrowIfCancellationRequested();
        }
    }
}
