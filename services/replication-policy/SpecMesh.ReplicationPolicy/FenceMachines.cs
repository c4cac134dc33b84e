using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.Hosting;
using SpecMesh.Speculation.Placement;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.ReplicationPolicy;

/// <summary>
/// A host is confirmed dead: its operations give up what they wait for there, and each of its machines is recovered from a complete image, or is off. The lists that name them may be
/// behind the store, after a start even by much, and targets may take a while to answer, so it is looked again until nothing is left. What becomes of a machine is decided on event
/// streams alone.
/// </summary>
public static class FenceMachines
{
    /// <summary>Fewest looks: what was under way when the host was fenced has arrived by then.</summary>
    private const int FewestLooks = 6;

    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(30);

    public static MeshBuilder AddFencing(this MeshBuilder mesh) => mesh.Endpoint(ReplicationPolicyService.Name, endpoint => endpoint
        .Handle<HostFenced>(BeginAsync)
        .Handle<FenceDeadline>(LookAsync)
        .Handle<FenceMachine>(DecideAsync));

    private static Task BeginAsync(HostFenced message, HandlerContext context, CancellationToken cancellationToken) =>
        LookAsync(new FenceDeadline(message.HostId, message.By, 0), context, cancellationToken);

    private static async Task LookAsync(FenceDeadline message, HandlerContext context, CancellationToken cancellationToken)
    {
        // A host that is in service again may have its machines, except those whose recovery has begun: that goes on to its end.
        bool isFenced = await IsFencedAsync(message.HostId, context, cancellationToken);
        OperationDirectory directory = context.Services.GetRequiredService<OperationDirectory>();
        foreach (UnsettledOperation operation in directory.Unsettled.Where(operation => isFenced && operation.HostIds.Contains(message.HostId)))
        {
            context.Work.Send(new FenceOperation(operation.OperationId, message.HostId, message.By));
        }

        IReadOnlyList<string> owned = isFenced ? directory.OwnedBy(message.HostId) : directory.RecoveredFrom(message.HostId);
        foreach (string vmId in owned)
        {
            context.Work.Send(new FenceMachine(vmId, message.HostId, message.By));
        }

        if (owned.Count > 0 || message.Attempt < FewestLooks)
        {
            TimeSpan pause = FirstPause * Math.Pow(2, Math.Min(message.Attempt, 10));
            context.Work.Send(message with { Attempt = message.Attempt + 1 }, null, context.Now + (pause < LongestPause ? pause : LongestPause));
        }
    }

    private static async Task DecideAsync(FenceMachine message, HandlerContext context, CancellationToken cancellationToken)
    {
        UnitOfWork work = context.Work;
        FencedMachine machine = (await work.LoadAsync(EventStreams.OfVm(message.VmId), FencedMachine.Unknown(message.VmId), FencedMachine.Evolve, cancellationToken)).State;
        if (machine.View.Recovery is null && !await IsFencedAsync(message.HostId, context, cancellationToken))
        {
            return;
        }

        List<SpecOpState> operations = [];
        foreach (Guid id in machine.OperationIds)
        {
            operations.Add((await work.LoadAsync(EventStreams.OfOperation(id), new SpecOpState(id), SpecOpState.Evolve, cancellationToken)).State);
        }

        FencingDecision decision = Fencing.Decide(machine.View, message.HostId, message.By, operations);
        work.Append(EventStreams.OfVm(message.VmId), EventStreams.VmType, decision.Events);
        if (decision.Grant is { } grant)
        {
            work.Send(grant, HostQueue.Of(grant.HostId));
        }

        ILogger logger = context.Services.GetRequiredService<ILogger<OperationDirectory>>();
        context.AfterCommit(() =>
        {
            foreach (OwnerFenced fenced in decision.Events.OfType<OwnerFenced>())
            {
                Log.MachineFenced(logger, fenced.VmId, fenced.HostId, fenced.By, fenced.Reason.Detail);
            }
        });
    }

    /// <summary>The host may have been put into service again since its death was confirmed.</summary>
    private static async Task<bool> IsFencedAsync(string hostId, HandlerContext context, CancellationToken cancellationToken) =>
        (await context.Work.LoadAsync(EventStreams.OfHost(hostId), HostState.Unknown(hostId), HostState.Evolve, cancellationToken)).State.Fenced is not null;
}
