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
                Recovery = null,
            },
            TransferRefused { ByOwner: true } => view with { VoidedVersion = view.Version + 1 },
            TransferRefused => view,
            OwnerFenced { Recovery: { } image } => view with { OpenOperationId = image.OperationId, Recovery = image },
            OwnerFenced or OwnershipReleased => view with
            {
                Epoch = view.Epoch + 1,
                OwnerHostId = null,
                OwnerOperationId = null,
                OwnerReplica = null,
                OpenOperationId = null,
                Recovery = null,
            },
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
    /// The owner makes sure that no vote can win any more and that every image taken so far is void: only then may it let its guest run again. Accepted means that its own refusal
    /// is durable after <see cref="RefuseTransfer.ExpectedVersion"/>. It is appended whatever else has ended the operation meanwhile, because a target keeps a complete image until
    /// the source itself has said that it goes on without it.
    /// </summary>
    public static OwnershipDecision Refuse(OwnershipView view, RefuseTransfer request)
    {
        if (view.Epoch != request.Epoch || view.OwnerHostId != request.HostId)
        {
            return Refused("transferred", "The transfer has happened: another host owns the machine.", view.Epoch, request.Epoch);
        }

        if (view.VoidedVersion > request.ExpectedVersion)
        {
            return new OwnershipDecision(true, [], null);
        }

        if (view.Recovery is { } image)
        {
            // A call that was on its way when its host died must not take the only image away. A host that lives after all loses its machine to that image.
            return Refused("recovering", $"This host was confirmed dead, and the machine is being recovered from {image.HostId}.");
        }

        return view.Version < request.ExpectedVersion
            ? Refused("unknown-version", "The event stream has never been at that version.", request.ExpectedVersion, view.Version)
            : new OwnershipDecision(true, [new TransferRefused(view.VmId, request.OperationId, request.HostId, request.Reason, ByOwner: true)], null);
    }

    /// <summary>True when the image may never run: the owner has changed or has gone on running since it was taken.</summary>
    /// <param name="view">What the event stream says now.</param>
    /// <param name="epoch">Epoch that the image's operation was opened in.</param>
    /// <param name="ownershipVersion">Version that the source held when it sent the last pages.</param>
    public static bool IsVoid(OwnershipView view, int epoch, long ownershipVersion) => view.Epoch != epoch || view.VoidedVersion > ownershipVersion;

    /// <summary>The owner's guest has ended and nothing of it is left. While an operation is open, that operation says what becomes of the machine.</summary>
    public static OwnershipDecision Release(OwnershipView view, ReleaseOwnership request)
    {
        if (view.OwnerHostId != request.HostId || view.Epoch != request.Epoch)
        {
            return new OwnershipDecision(true, [], null);
        }

        return view.OpenOperationId is { } open
            ? Refused("operation-open", $"Operation {open} is open and says what becomes of the machine.")
            : new OwnershipDecision(true, [new OwnershipReleased(view.VmId, request.HostId, request.Epoch, request.Reason)], null);
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
