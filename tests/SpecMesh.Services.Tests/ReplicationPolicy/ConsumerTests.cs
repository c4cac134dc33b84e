using SpecMesh.Contracts;

namespace SpecMesh.Services.Tests.ReplicationPolicy;

/// <summary>Every consumer of the service once, with a neighbour beside it that is at the same point, on the same hosts, and must stay as it is.</summary>
public class ConsumerTests(RunningPolicy policy) : IClassFixture<RunningPolicy>
{
    /// <summary>What a message does to an operation.</summary>
    /// <param name="Message">The message, for an operation and its machine.</param>
    /// <param name="Before">Events of the operation before it.</param>
    /// <param name="Events">Types of the events that it adds to the operation, in order.</param>
    /// <param name="OwnershipEvents">Types of the events that it adds to the machine, in order.</param>
    /// <param name="VmBefore">Events of the machine after the operation was opened.</param>
    private sealed record Case(
        Func<Guid, string, object> Message,
        Func<Guid, string, object[]> Before,
        Type[] Events,
        Type[]? OwnershipEvents = null,
        Func<Guid, string, object[]>? VmBefore = null);

    private static readonly Type[] Unwon = [typeof(TransferRefused), typeof(OperationClosed)];

    private static readonly Dictionary<Type, Case> Cases = new()
    {
        [typeof(CancelSpecOp)] = new(
            (id, _) => new CancelSpecOp(id, "carol"), Given.Racing,
            [typeof(CancelRequested), typeof(ReplicaCancelled), typeof(ReplicaCancelled), typeof(SpecOpCompleted)], Unwon),
        [typeof(TargetsReserved)] = new((id, _) => new TargetsReserved(id, 0, ["h1"], Given.Why), (id, vm) => [Given.Accepted(id, vm)], [typeof(ReplicasPlanned)]),
        [typeof(TargetsRefused)] = new(
            (id, _) => new TargetsRefused(id, 0, Given.Why), (id, vm) => [Given.Accepted(id, vm)], [typeof(TargetsRefused), typeof(SpecOpCompleted)], Unwon),
        [typeof(ReplicaStarted)] = new((id, _) => Given.Started(id, 0), Planned, [typeof(ReplicaStarted)]),
        [typeof(ReplicaRoundsReported)] = new((id, _) => new ReplicaRoundsReported(id, Given.Epoch, [Round(id, 1), Round(id, 2)]), Given.Racing,
            [typeof(ReplicaRoundCompleted), typeof(ReplicaRoundCompleted)]),
        [typeof(ReplicaReady)] = new((id, _) => new ReplicaReady(id, 0, Given.Epoch, "h1", 1, "ab"), Given.Racing, [typeof(ReplicaReady)]),
        [typeof(ReplicaAborted)] = new((id, _) => Given.Aborted(id, 1), Given.Racing, [typeof(ReplicaAborted)]),
        [typeof(ReplicaFailed)] = new((id, _) => Given.Failed(id, 1), Given.Racing, [typeof(ReplicaFailed)]),
        [typeof(ReplicaCancelled)] = new(
            (id, _) => new ReplicaCancelled(id, 1, Given.Epoch, "h2", Given.Why, ReplicaCounters.None), Given.Racing, [typeof(ReplicaCancelled)]),
        [typeof(ReplicaResumed)] = new((id, _) => new ReplicaResumed(id, 0, "h1", DateTimeOffset.UnixEpoch), Given.Won, [typeof(ReplicaResumed)], [], Closed),
        [typeof(ReplicaCleaned)] = new((id, _) => new ReplicaCleaned(id, 1, "h2"), Given.Won, [typeof(ReplicaCleaned)], [], Closed),
        [typeof(SourceReleased)] = new(
            (id, _) => new SourceReleased(id, "source", true, 12.5, [0], [ReplicaCounters.None]), Given.Won, [typeof(SourceReleased)], [], Closed),
        [typeof(OwnershipTransferred)] = new(
            Given.Transferred, Given.Racing, [typeof(ReplicaCommitted), typeof(ReplicaAborted), typeof(SpecOpCompleted)], [typeof(OperationClosed)],
            (id, vm) => [Given.Transferred(id, vm)]),
        [typeof(SpecOpDeadline)] = new((id, _) => new SpecOpDeadline(id), Given.Racing, [typeof(ReplicaAborted), typeof(ReplicaAborted), typeof(SpecOpCompleted)], Unwon),
        [typeof(ReplicaDeadline)] = new((id, _) => new ReplicaDeadline(id, 0), Planned, [typeof(ReplicaFailed)]),
        [typeof(RetryDeadline)] = new(
            (id, _) => new RetryDeadline(id, 0),
            (id, vm) => [Given.Accepted(id, vm, "retry-same-server"), Given.Planned(id, "h1"), Given.Failed(id, 0), new ReplicaCleaned(id, 0, "h1")],
            [typeof(ReplicasPlanned)]),
    };

    public static TheoryData<string> Messages => [.. Cases.Keys.Select(type => type.Name)];

    [Theory]
    [MemberData(nameof(Messages))]
    public async Task a_message_moves_its_own_operation_and_machine_and_no_other(string message)
    {
        (_, Case @case) = Cases.Single(pair => pair.Key.Name == message);
        (Guid operation, string vm) = await RecordAsync(@case);
        (Guid neighbour, string neighbourVm) = await RecordAsync(@case);
        int before = (await policy.Service.ReadAsync(EventStreams.OfOperation(operation))).Count;
        int vmBefore = (await policy.Service.ReadAsync(EventStreams.OfVm(vm))).Count;

        await policy.Service.Bus.SendAsync("replication-policy", @case.Message(operation, vm), default);

        IReadOnlyList<object> events = await policy.Service.ReadAsync(EventStreams.OfOperation(operation), before + @case.Events.Length);
        Assert.Equal(@case.Events, events.Skip(before).Select(one => one.GetType()));
        IReadOnlyList<object> vmEvents = await policy.Service.ReadAsync(EventStreams.OfVm(vm));
        Assert.Equal(@case.OwnershipEvents ?? [], vmEvents.Skip(vmBefore).Select(one => one.GetType()));
        Assert.Equal(before, (await policy.Service.ReadAsync(EventStreams.OfOperation(neighbour))).Count);
        Assert.Equal(vmBefore, (await policy.Service.ReadAsync(EventStreams.OfVm(neighbourVm))).Count);
    }

    [Fact]
    public async Task the_clean_up_s_deadline_asks_the_hosts_of_its_own_operation_again()
    {
        (Guid operation, string vm) = await RecordAsync(new Case((id, _) => id, Given.Won, [], null, Closed));
        (Guid neighbour, _) = await RecordAsync(new Case((id, _) => id, Given.Won, [], null, Closed));

        await policy.Service.Bus.SendAsync("replication-policy", new CleanupDeadline(operation, 3), default);

        (string loser, AbortReplica abort) = await policy.HearAsync<AbortReplica>(abort => abort.OperationId == operation);
        (string source, ReleaseSource release) = await policy.HearAsync<ReleaseSource>(release => release.OperationId == operation);
        Assert.Equal(("h2", "source"), (loser, source));
        Assert.Equal((1, Given.Epoch, vm, "h2", ReplicaOutcome.Aborted), (abort.Replica, abort.Epoch, abort.VmId, abort.HostId, abort.Outcome));
        Assert.Equal((Given.Epoch, vm, "source"), (release.Epoch, release.VmId, release.HostId));
        Assert.DoesNotContain(policy.HeardSoFar(), one => one.Message is AbortReplica other && other.OperationId == neighbour);
    }

    [Fact]
    public async Task reserved_hosts_are_told_to_prepare_and_a_started_replica_s_source_to_connect()
    {
        (Guid operation, string vm) = await RecordAsync(Cases[typeof(TargetsReserved)]);

        await policy.Service.Bus.PublishAsync(new TargetsReserved(operation, 0, ["h2"], Given.Why), default);
        (string target, StartReplica start) = await policy.HearAsync<StartReplica>(start => start.OperationId == operation);
        await policy.Service.Bus.PublishAsync(new ReplicaStarted(operation, 0, Given.Epoch, "h2", "127.0.0.1:7002"), default);
        (string source, ConnectReplica connect) = await policy.HearAsync<ConnectReplica>(connect => connect.OperationId == operation);

        Assert.Equal(("h2", 0, vm, "h2", "source", Given.OpenVersion), (target, start.Replica, start.VmId, start.HostId, start.SourceHostId, start.OwnershipVersion));
        Assert.Equal(("source", vm, "source", "h2", "127.0.0.1:7002"), (source, connect.VmId, connect.SourceHostId, connect.TargetHostId, connect.DataEndpoint));
    }

    [Fact]
    public async Task a_hedge_passes_over_hosts_that_have_been_fenced_or_suspected_since_they_were_reserved()
    {
        string fenced = Given.NewVm(), silent = Given.NewVm();
        await policy.Service.RecordAsync(
            (EventStreams.OfHost(fenced), [new HostRegistered(fenced, "a", 1 << 30), new HostFenced(fenced, "operator", Given.Why)]),
            (EventStreams.OfHealth(silent), [new HostSuspected(silent, Given.Why)]));
        ReplicasPlanned Hedged(Guid id) => Given.Planned(id, "h1") with { WaitingHostIds = [fenced, silent, "h2"] };
        (Guid operation, _) = await RecordAsync(new Case((id, _) => id, (id, vmId) => [Given.Accepted(id, vmId), Hedged(id)], []));

        await policy.Service.Bus.SendAsync("replication-policy", new HedgeDeadline(operation, 1), default);

        (_, StartReplica start) = await policy.HearAsync<StartReplica>(start => start.OperationId == operation);
        Assert.Equal(("h2", 1), (start.HostId, start.Replica));
    }

    [Fact]
    public async Task hosts_that_come_for_an_operation_that_never_was_are_given_back()
    {
        Guid stranger = Guid.NewGuid();

        await policy.Service.Bus.PublishAsync(new TargetsReserved(stranger, 0, ["h1", "h2"], Given.Why), default);

        (_, ReleaseTargets release) = await policy.HearAsync<ReleaseTargets>(release => release.OperationId == stranger);
        Assert.Equal(["h1", "h2"], release.HostIds);
        Assert.Empty(await policy.Service.ReadAsync(EventStreams.OfOperation(stranger)));
    }

    private static object[] Planned(Guid operation, string vmId) => [Given.Accepted(operation, vmId), Given.Planned(operation, "h1", "h2")];

    private static object[] Closed(Guid operation, string vmId) => [Given.Transferred(operation, vmId), new OperationClosed(vmId, operation, OperationOutcome.Succeeded)];

    private static ReplicaRoundCompleted Round(Guid operation, int round) => new(operation, 0, "h1", round, false, 10, 1, 4096, 5, 100, 3, 1e6, DateTimeOffset.UnixEpoch);

    private async Task<(Guid Operation, string Vm)> RecordAsync(Case @case)
    {
        Guid operation = Guid.NewGuid();
        string vm = Given.NewVm();
        await policy.Service.RecordAsync(
            Given.MovingVm(vm, operation, @case.VmBefore?.Invoke(operation, vm) ?? []),
            (EventStreams.OfOperation(operation), @case.Before(operation, vm)));
        return (operation, vm);
    }
}
