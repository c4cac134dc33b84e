using SpecMesh.Contracts;

namespace SpecMesh.Speculation.SpecOps;

/// <summary>What an ownership request comes to.</summary>
/// <param name="Accepted">True when what the caller asked for holds, now or since an earlier call.</param>
/// <param name="Events">Events to append to <c>vm-{VmId}</c> at the version that was decided on; empty when nothing changes.</param>
/// <param name="Reason">Why it was not accepted; null when it was.</param>
public sealed record OwnershipDecision(bool Accepted, IReadOnlyList<object> Events, Reason? Reason);

/// <summary>
/// Decides who may run a machine: here, and nowhere else, a winner is made. The event stream <c>vm-{VmId}</c> is appended only at the version that the
/// decision was taken at, so of all appends that race at one version exactly one becomes true; every other one is decided again on what that one left.
/// </summary>
public static class OwnershipDecider
{
    /// <summary>A machine that nobody has heard of.</summary>
    public static OwnershipView Unknown(string vmId) => new(vmId, 0, null, 0, null, null, null, null);

    /// <summary>The fold.</summary>
    public static OwnershipView Evolve(OwnershipView view, object @event)
    {
        OwnershipView next = @event switch
        {
            VmDefined defined => view with { Vm = defined.Vm },
            OperationOpened opened => view with { OpenOperationId = opened.OperationId },
            OwnershipTransferred transferred => view with
            {
                Epoch = transferred.Epoch,
                OwnerHostId = transferred.HostId,
                OwnerOperationId = transferred.OperationId,
                OwnerReplica = transferred.Replica,
            },
            TransferRefused => view,
            OperationClosed => view with { OpenOperationId = null },
            _ => throw new InvalidOperationException($"{@event.GetType().Name} does not belong into {EventStreams.OfVm(view.VmId)}."),
        };
        return next with { Version = view.Version + 1 };
    }

    /// <summary>Opens the one operation that may change the owner. The caller has seen to it that none is open.</summary>
    public static IReadOnlyList<object> Open(OwnershipView view, Guid operationId, OperationKind kind, VmDefinition vm)
    {
        if (view.OpenOperationId is not null)
        {
            throw new InvalidOperationException($"{view.VmId} is already in operation {view.OpenOperationId}.");
        }

        OperationOpened opened = new(view.VmId, operationId, kind, view.Epoch);
        return view.Vm is null ? [new VmDefined(view.VmId, vm), opened] : [opened];
    }

    /// <summary>
    /// The commit: the calling target becomes the owner if the source's vote, given at <see cref="TransferOwnership.ExpectedVersion"/>, is still the last word.
    /// </summary>
    public static OwnershipDecision Transfer(OwnershipView view, TransferOwnership request)
    {
        if (IsOwnedBy(view, request.OperationId, request.Replica) && view.OwnerHostId == request.HostId && view.Epoch == request.Epoch + 1)
        {
            return new OwnershipDecision(true, [], null);
        }

        if (view.OpenOperationId != request.OperationId)
        {
            return Refused("operation-over", "The operation has ended, or another one is open.");
        }

        if (view.Epoch != request.Epoch)
        {
            return Refused("old-epoch", "Another host became the owner since the operation was opened.", request.Epoch, view.Epoch);
        }

        if (view.Version != request.ExpectedVersion)
        {
            return Refused("vote-refused", "Somebody ended the vote first.", view.Version, request.ExpectedVersion);
        }

        return new OwnershipDecision(
            true,
            [new OwnershipTransferred(view.VmId, request.OperationId, request.Replica, request.HostId, view.Epoch + 1, request.Incarnation, request.Digest)],
            null);
    }

    /// <summary>
    /// The source makes sure that its vote can no longer win. Accepted means: no vote given at or before <see cref="RefuseTransfer.ExpectedVersion"/> can
    /// become a commit any more, because the event stream has moved past it without one.
    /// </summary>
    public static OwnershipDecision Refuse(OwnershipView view, RefuseTransfer request)
    {
        if (view.Epoch != request.Epoch || view.OwnerHostId != request.HostId)
        {
            return Refused("transferred", "The transfer has happened: another host owns the machine.", view.Epoch, request.Epoch);
        }

        if (view.Version > request.ExpectedVersion)
        {
            return new OwnershipDecision(true, [], null);
        }

        if (view.Version < request.ExpectedVersion || view.OpenOperationId != request.OperationId)
        {
            return Refused("unknown-version", "The event stream has never been at that version for this operation.", request.ExpectedVersion, view.Version);
        }

        return new OwnershipDecision(true, [new TransferRefused(view.VmId, request.OperationId, request.HostId, request.Reason)], null);
    }

    /// <summary>Ends the operation. Without a winner this is also the refusal of every vote that may be under way: one append settles both.</summary>
    public static IReadOnlyList<object> Close(OwnershipView view, Guid operationId, OperationOutcome outcome, string by, Reason reason)
    {
        if (view.OpenOperationId != operationId)
        {
            return [];
        }

        OperationClosed closed = new(view.VmId, operationId, outcome);
        return outcome == OperationOutcome.Succeeded ? [closed] : [new TransferRefused(view.VmId, operationId, by, reason), closed];
    }

    /// <summary>True when a replica of this operation has committed.</summary>
    public static bool IsWon(OwnershipView view, Guid operationId) => view.OwnerOperationId == operationId;

    private static bool IsOwnedBy(OwnershipView view, Guid operationId, int replica) => view.OwnerOperationId == operationId && view.OwnerReplica == replica;

    private static OwnershipDecision Refused(string code, string detail, double? observed = null, double? limit = null) =>
        new(false, [], new Reason(code, detail, observed, limit));
}
