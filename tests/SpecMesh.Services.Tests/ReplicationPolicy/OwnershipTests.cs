using SpecMesh.Contracts;
using SpecMesh.Hosting;

namespace SpecMesh.Services.Tests.ReplicationPolicy;

/// <summary>The direct calls of the agents.</summary>
public class OwnershipTests(RunningPolicy policy) : IClassFixture<RunningPolicy>
{
    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("SpecMesh h1")]
    [InlineData("SpecMesh h1:")]
    [InlineData("SpecMesh h1:zz")]
    [InlineData("SpecMesh h1:0000000000000000000000000000000000000000000000000000000000000000")]
    [InlineData("Bearer cluster-secret-0123456789")]
    public async Task without_the_cluster_s_key_nothing_is_read_or_owned(string? credential)
    {
        (string vm, Guid operation) = await OpenAsync();
        using HttpClient stranger = new() { BaseAddress = policy.Service.Url };
        if (credential is not null)
        {
            stranger.DefaultRequestHeaders.TryAddWithoutValidation("Authorization", credential);
        }

        Assert.Equal(401, (await stranger.GetAnswerAsync($"/ownership/{vm}")).Status);
        Assert.Equal(401, (await stranger.CallAsync($"/ownership/{vm}/transfer", Transfer(operation))).Status);
        Assert.Equal(401, (await stranger.CallAsync($"/ownership/{vm}/refuse", Refuse(operation))).Status);
        Assert.Equal(401, (await stranger.CallAsync($"/ownership/{vm}/transfer", "no contract")).Status);
        Assert.Equal(5, (await policy.Service.ReadAsync(EventStreams.OfVm(vm))).Count);
    }

    [Fact]
    public async Task the_gateway_s_key_is_not_an_agent_s()
    {
        (string vm, _) = await OpenAsync();

        Assert.Equal(401, (await policy.Http.GetAnswerAsync($"/ownership/{vm}")).Status);
    }

    [Fact]
    public async Task a_proof_is_that_of_one_host_under_one_key()
    {
        (string vm, _) = await OpenAsync();
        using HttpClient otherKey = new() { BaseAddress = policy.Service.Url };
        otherKey.DefaultRequestHeaders.TryAddWithoutValidation("Authorization", AgentCredential.For("h1", "another-secret-0123456789"));
        using HttpClient renamed = new() { BaseAddress = policy.Service.Url };
        renamed.DefaultRequestHeaders.TryAddWithoutValidation("Authorization", AgentCredential.For("h1", RunningPolicy.ClusterKey).Replace("h1:", "h2:", StringComparison.Ordinal));

        Assert.Equal(401, (await otherKey.GetAnswerAsync($"/ownership/{vm}")).Status);
        Assert.Equal(401, (await renamed.GetAnswerAsync($"/ownership/{vm}")).Status);
    }

    [Fact]
    public async Task an_agent_speaks_for_its_own_host_only()
    {
        (string vm, Guid operation) = await OpenAsync();
        using HttpClient h2 = policy.NewAgent("h2");

        Answer transfer = await h2.CallAsync($"/ownership/{vm}/transfer", Transfer(operation));
        Answer refuse = await h2.CallAsync($"/ownership/{vm}/refuse", Refuse(operation));

        Assert.Equal((403, "hostId"), (transfer.Status, transfer.Field));
        Assert.Equal((403, "hostId"), (refuse.Status, refuse.Field));
        Assert.Equal(5, (await policy.Service.ReadAsync(EventStreams.OfVm(vm))).Count);
    }

    [Fact]
    public async Task a_commit_makes_its_own_machine_s_owner_and_is_told_and_may_be_repeated()
    {
        (string vm, Guid operation) = await OpenAsync();
        (string neighbour, _) = await OpenAsync();
        using HttpClient h1 = policy.NewAgent("h1");

        OwnershipAnswer first = (await h1.CallAsync($"/ownership/{vm}/transfer", Transfer(operation))).As<OwnershipAnswer>();
        OwnershipAnswer again = (await h1.CallAsync($"/ownership/{vm}/transfer", Transfer(operation))).As<OwnershipAnswer>();

        Assert.True(first.Accepted && again.Accepted);
        Assert.Equal(("h1", Given.Epoch + 1, 0), (first.View.OwnerHostId, first.View.Epoch, first.View.OwnerReplica));
        Assert.Equal(new OwnershipTransferred(vm, operation, 0, "h1", Given.Epoch + 1, 0, "ab"), (await policy.Service.ReadAsync(EventStreams.OfVm(vm)))[5]);
        (_, OwnershipTransferred told) = await policy.HearAsync<OwnershipTransferred>(told => told.VmId == vm);
        Assert.Equal((operation, "h1"), (told.OperationId, told.HostId));
        Assert.Equal(5, (await policy.Service.ReadAsync(EventStreams.OfVm(neighbour))).Count);
    }

    [Fact]
    public async Task of_commits_at_one_version_exactly_one_becomes_true_and_the_others_are_told_what_the_event_stream_says()
    {
        (string vm, Guid operation) = await OpenAsync();
        using HttpClient h1 = policy.NewAgent("h1"), h2 = policy.NewAgent("h2"), source = policy.NewAgent("source");

        Answer[] answers = await Task.WhenAll(
            h1.CallAsync($"/ownership/{vm}/transfer", Transfer(operation)),
            h2.CallAsync($"/ownership/{vm}/transfer", Transfer(operation) with { HostId = "h2", Replica = 1 }),
            source.CallAsync($"/ownership/{vm}/refuse", Refuse(operation)));

        Assert.All(answers, answer => Assert.Equal(200, answer.Status));
        OwnershipAnswer winner = Assert.Single(answers.Select(answer => answer.As<OwnershipAnswer>()), answer => answer.Accepted);
        Assert.All(answers.Select(answer => answer.As<OwnershipAnswer>()).Where(answer => !answer.Accepted), answer =>
        {
            Assert.Equal((winner.View.Version, winner.View.OwnerHostId), (answer.View.Version, answer.View.OwnerHostId));
            Assert.NotNull(answer.Reason);
        });
        Assert.Equal(6, (await policy.Service.ReadAsync(EventStreams.OfVm(vm))).Count);
    }

    [Fact]
    public async Task a_refusal_is_recorded_and_told_once_and_no_vote_before_it_can_win()
    {
        (string vm, Guid operation) = await OpenAsync();
        using HttpClient source = policy.NewAgent("source"), h1 = policy.NewAgent("h1");

        Answer first = await source.CallAsync($"/ownership/{vm}/refuse", Refuse(operation));
        Answer again = await source.CallAsync($"/ownership/{vm}/refuse", Refuse(operation));
        Answer late = await h1.CallAsync($"/ownership/{vm}/transfer", Transfer(operation));

        Assert.True(first.As<OwnershipAnswer>().Accepted && again.As<OwnershipAnswer>().Accepted);
        Assert.Equal((false, "vote-refused"), (late.As<OwnershipAnswer>().Accepted, late.As<OwnershipAnswer>().Reason?.Code));
        Assert.Equal(new TransferRefused(vm, operation, "source", Given.Why, ByOwner: true), (await policy.Service.ReadAsync(EventStreams.OfVm(vm), 6))[5]);
        (_, TransferRefused told) = await policy.HearAsync<TransferRefused>(told => told.VmId == vm);
        Assert.Equal(operation, told.OperationId);
    }

    [Fact]
    public async Task an_agent_reads_what_the_event_stream_says_and_names_that_are_none_are_refused()
    {
        (string vm, Guid operation) = await OpenAsync();
        using HttpClient h1 = policy.NewAgent("h1");

        OwnershipView view = (await h1.GetAnswerAsync($"/ownership/{vm}")).As<OwnershipView>();
        OwnershipView unknown = (await h1.GetAnswerAsync("/ownership/no-such-vm")).As<OwnershipView>();
        Answer wrong = await h1.GetAnswerAsync("/ownership/UPPER");

        Assert.Equal((vm, Given.OpenVersion, "source", operation), (view.VmId, view.Version, view.OwnerHostId, view.OpenOperationId));
        Assert.Equal((0, null), (unknown.Version, unknown.OwnerHostId));
        Assert.Equal((400, "vmId"), (wrong.Status, wrong.Field));
    }

    [Fact]
    public async Task a_call_that_leaves_something_out_is_refused_with_the_field()
    {
        (string vm, Guid operation) = await OpenAsync();
        using HttpClient h1 = policy.NewAgent("h1"), source = policy.NewAgent("source");

        Answer transfer = await h1.CallAsync($"/ownership/{vm}/transfer", new { operationId = operation, hostId = "h1", epoch = Given.Epoch, expectedVersion = Given.OpenVersion });
        Answer refuse = await source.CallAsync($"/ownership/{vm}/refuse", new { operationId = operation, hostId = "source", epoch = Given.Epoch, expectedVersion = Given.OpenVersion });

        Assert.Equal((400, "digest"), (transfer.Status, transfer.Field));
        Assert.Equal((400, "reason"), (refuse.Status, refuse.Field));
        Assert.Equal(5, (await policy.Service.ReadAsync(EventStreams.OfVm(vm))).Count);
    }

    private static TransferOwnership Transfer(Guid operation) => new(operation, 0, "h1", Given.Epoch, Given.OpenVersion, 0, "ab");

    private static RefuseTransfer Refuse(Guid operation) => new(operation, "source", Given.Epoch, Given.OpenVersion, Given.Why);

    /// <summary>A machine with a migration open on it, which no operation's event stream tells of: only ownership is tried here.</summary>
    private async Task<(string Vm, Guid Operation)> OpenAsync()
    {
        string vm = Given.NewVm();
        Guid operation = Guid.NewGuid();
        await policy.Service.RecordAsync(Given.MovingVm(vm, operation));
        return (vm, operation);
    }
}
