using System.Collections.Immutable;
using SpecMesh.Contracts;

namespace SpecMesh.Speculation.SpecOps;

/// <summary>What becomes of a machine whose owner is confirmed dead.</summary>
/// <param name="Events">Events for <c>vm-{VmId}</c>.</param>
/// <param name="Grant">Command to the target that may commit its image; null when there is none yet.</param>
/// <param name="IsOver">True when nothing is left to decide; false: look again later.</param>
public sealed record FencingDecision(IReadOnlyList<object> Events, CommitReplica? Grant, bool IsOver);

/// <summary>A machine with the operations that its present owner has been the source of: a fold of <c>vm-{VmId}</c>.</summary>
/// <param name="View">Who may run it.</param>
/// <param name="OperationIds">Operations that were opened in the present epoch; an image can only be left by one of them.</param>
public sealed record FencedMachine(OwnershipView View, ImmutableList<Guid> OperationIds)
{
    /// <summary>A machine that nobody has heard of.</summary>
    public static FencedMachine Unknown(string vmId) => new(OwnershipDecider.Unknown(vmId), []);

    /// <summary>The fold's step.</summary>
    public static FencedMachine Evolve(FencedMachine machine, object @event)
    {
        OwnershipView view = OwnershipDecider.Evolve(machine.View, @event);
        ImmutableList<Guid> operations = view.Epoch == machine.View.Epoch ? machine.OperationIds : [];
        return new FencedMachine(view, @event is OperationOpened opened ? operations.Add(opened.OperationId) : operations);
    }
}

/// <summary>
/// Recovers a machine whose owner is confirmed dead. Its source appends a refusal before it lets the guest run again, so an image that no such refusal has made void is exactly the
/// machine as it stood still last: it may run. Which targets hold one is known once each has either said so or said that nothing is left; until then nothing is given up.
/// </summary>
public static class Fencing
{
    /// <summary>Decides about one machine.</summary>
    /// <param name="view">What its event stream says.</param>
    /// <param name="hostId">The host that is confirmed dead.</param>
    /// <param name="by">Who confirmed it.</param>
    /// <param name="operations">The operations of <see cref="FencedMachine.OperationIds"/>.</param>
    public static FencingDecision Decide(OwnershipView view, string hostId, string by, IReadOnlyList<SpecOpState> operations)
    {
        if (view.OwnerHostId != hostId)
        {
            return new FencingDecision([], null, IsOver: true);
        }

        List<SpecOpState> left = [.. operations.Where(operation => operation.Accepted is { } accepted
            && accepted.VmId == view.VmId && accepted.SourceHostId == hostId && accepted.Epoch == view.Epoch)];
        if (left.Any(operation => operation.Phase == SpecOpPhase.Racing))
        {
            return new FencingDecision([], null, IsOver: false);
        }

        List<(SpecOpState Operation, ReplicaState Replica)> images = [.. left.SelectMany(operation => operation.Replicas.Values
            .Where(replica => !replica.Cleaned && replica.ReadyVersion is { } version && !OwnershipDecider.IsVoid(view, view.Epoch, version))
            .Select(replica => (operation, replica)))];
        if (images.Count > 0)
        {
            return Grant(view, hostId, by, images);
        }

        bool waits = left.Any(operation => operation.Replicas.Values.Any(replica => !replica.Cleaned && replica.ReadyVersion is null));
        return waits
            ? new FencingDecision([], null, IsOver: false)
            : new FencingDecision(
                [new OwnerFenced(view.VmId, hostId, view.Epoch, by, new Reason("no-image", "No target holds a complete image, so what the machine had in memory is lost with its host."))], null, IsOver: true);
    }

    /// <summary>The latest image, or the one that was chosen before while it still stands. A grant is at the version after its own event, and never two at one version.</summary>
    private static FencingDecision Grant(OwnershipView view, string hostId, string by, List<(SpecOpState Operation, ReplicaState Replica)> images)
    {
        (SpecOpState operation, ReplicaState replica) = images.Find(image => view.Recovery is { } chosen && (chosen.OperationId, chosen.Replica) == (image.Operation.OperationId, image.Replica.Replica));
        bool stands = operation is not null && view.OpenOperationId == operation.OperationId;
        if (operation is null)
        {
            (operation, replica) = images.MaxBy(image => (image.Replica.ReadyVersion, image.Replica.ReadyIncarnation));
        }

        HeldImage held = new(operation.OperationId, replica.Replica, replica.HostId, replica.ReadyVersion!.Value, replica.ReadyIncarnation!.Value);
        Reason reason = new("recovery", $"{hostId} is confirmed dead; {replica.HostId} holds the complete image of the machine as it stood still last.");
        CommitReplica grant = new(
            operation.OperationId, replica.Replica, view.Epoch, view.VmId, replica.HostId, stands ? view.Version : view.Version + 1, held.Incarnation);
        return new FencingDecision(stands ? [] : [new OwnerFenced(view.VmId, hostId, view.Epoch, by, reason, held)], grant, IsOver: false);
    }
}
