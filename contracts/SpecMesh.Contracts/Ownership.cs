namespace SpecMesh.Contracts;

// The event stream vm-{VmId} says who may run a machine. It is appended only with an expected version: the append is the decision.

/// <summary>Event: the machine exists. The first event of its event stream.</summary>
public sealed record VmDefined(string VmId, VmDefinition Vm);

/// <summary>Event: one operation may change the owner until it is closed.</summary>
/// <param name="VmId">The machine.</param>
/// <param name="OperationId">The one active operation.</param>
/// <param name="Kind">What it does.</param>
/// <param name="Epoch">Epoch of the owner so far.</param>
public sealed record OperationOpened(string VmId, Guid OperationId, OperationKind Kind, int Epoch);

/// <summary>Event: the commit. The named host, and no other, runs the machine from here on.</summary>
/// <param name="VmId">The machine.</param>
/// <param name="OperationId">The operation that the replica belongs to.</param>
/// <param name="Replica">The replica that won.</param>
/// <param name="HostId">The new owner.</param>
/// <param name="Epoch">The new epoch: one more than before.</param>
/// <param name="Incarnation">Incarnation of the image that runs.</param>
/// <param name="Digest">Digest of that image.</param>
public sealed record OwnershipTransferred(string VmId, Guid OperationId, int Replica, string HostId, int Epoch, int Incarnation, string Digest);

/// <summary>Event: no vote given before this version can become a commit any more.</summary>
/// <param name="VmId">The machine.</param>
/// <param name="OperationId">The operation.</param>
/// <param name="By">Who refused: the source host's id, <c>cancel</c>, <c>deadline</c>, <c>failure</c> or <c>operator</c>.</param>
/// <param name="Reason">Why.</param>
/// <param name="ByOwner">True when the owner's agent refused: only then may it let the guest run again, and every image taken before is void.</param>
public sealed record TransferRefused(string VmId, Guid OperationId, string By, Reason Reason, bool ByOwner = false);

/// <summary>Event: the operation has ended; another one may be opened.</summary>
public sealed record OperationClosed(string VmId, Guid OperationId, OperationOutcome Outcome);

/// <summary>A complete image of a suspended guest, in a shell on a target host.</summary>
/// <param name="OperationId">The operation that the shell belongs to.</param>
/// <param name="Replica">Number of the replica.</param>
/// <param name="HostId">Its host.</param>
/// <param name="OwnershipVersion">Version of <c>vm-{VmId}</c> that the source held when it sent the last pages.</param>
/// <param name="Incarnation">Incarnation of the image.</param>
public sealed record HeldImage(Guid OperationId, int Replica, string HostId, long OwnershipVersion, int Incarnation);

/// <summary>Event: the owner's host is confirmed dead, so that nothing of the machine runs there any more.</summary>
/// <param name="VmId">The machine.</param>
/// <param name="HostId">The host that owned it.</param>
/// <param name="Epoch">Epoch of that ownership.</param>
/// <param name="By">Who confirmed it.</param>
/// <param name="Reason">Why the machine goes this way.</param>
/// <param name="Recovery">The image that the machine is recovered from: its target may commit at the version after this event, as if the source had voted. Null: none is valid; the machine
/// has no owner any more, in a new epoch, and may be powered on.</param>
public sealed record OwnerFenced(string VmId, string HostId, int Epoch, string By, Reason Reason, HeldImage? Recovery = null);

/// <summary>Event: the owner's agent says that its guest has ended and that nothing of it is left there. The machine has no owner any more, in a new epoch.</summary>
/// <param name="VmId">The machine.</param>
/// <param name="HostId">The host that owned it.</param>
/// <param name="Epoch">Epoch of that ownership.</param>
/// <param name="Reason">Why.</param>
public sealed record OwnershipReleased(string VmId, string HostId, int Epoch, Reason Reason);

/// <summary>Direct call of an owner's agent: my guest has ended, and nothing of it is left here. Idempotent; refused while an operation is open.</summary>
/// <param name="HostId">The calling host.</param>
/// <param name="Epoch">Epoch of its ownership.</param>
/// <param name="Reason">Why.</param>
public sealed record ReleaseOwnership(string HostId, int Epoch, Reason Reason);

/// <summary>Direct call of a target agent: make me the owner. Idempotent: asked again after it succeeded, it succeeds.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="Replica">The replica of the calling host.</param>
/// <param name="HostId">The calling host.</param>
/// <param name="Epoch">Epoch that the operation was opened in.</param>
/// <param name="ExpectedVersion">Version of <c>vm-{VmId}</c> that the source voted at.</param>
/// <param name="Incarnation">Incarnation that the vote names.</param>
/// <param name="Digest">Digest of the image.</param>
public sealed record TransferOwnership(Guid OperationId, int Replica, string HostId, int Epoch, long ExpectedVersion, int Incarnation, string Digest);

/// <summary>Direct call of a source agent: make sure that no vote given so far can win and that every image taken so far is void. Only then may it let the guest run again.</summary>
/// <param name="OperationId">The operation.</param>
/// <param name="HostId">The calling host, which must be the owner.</param>
/// <param name="Epoch">Epoch that the operation was opened in.</param>
/// <param name="ExpectedVersion">Version of <c>vm-{VmId}</c> that the vote was given at.</param>
/// <param name="Reason">Why.</param>
public sealed record RefuseTransfer(Guid OperationId, string HostId, int Epoch, long ExpectedVersion, Reason Reason);

/// <summary>What the event stream of a machine says now.</summary>
/// <param name="VmId">The machine.</param>
/// <param name="Version">Version of the event stream; 0 when the machine is unknown.</param>
/// <param name="Vm">Its definition; null when unknown.</param>
/// <param name="Epoch">Epoch of the owner; 0 before the first power-on.</param>
/// <param name="OwnerHostId">Host that may run it; null before the first power-on.</param>
/// <param name="OpenOperationId">The active operation; null when there is none.</param>
/// <param name="OwnerOperationId">The operation whose commit named the owner.</param>
/// <param name="OwnerReplica">The replica whose commit named the owner.</param>
/// <param name="VoidedVersion">Version right after the owner's latest own <see cref="TransferRefused"/>; images taken before it are void. 0 when there was none.</param>
/// <param name="Recovery">The image that the machine of a fenced host is being recovered from; null otherwise.</param>
public sealed record OwnershipView(
    string VmId,
    long Version,
    VmDefinition? Vm,
    int Epoch,
    string? OwnerHostId,
    Guid? OpenOperationId,
    Guid? OwnerOperationId,
    int? OwnerReplica,
    long VoidedVersion = 0,
    HeldImage? Recovery = null);

/// <summary>Answer to an ownership append.</summary>
/// <param name="Accepted">True when the append is durable and is the latest decision about its vote.</param>
/// <param name="View">What the event stream says after the append, or instead of it.</param>
/// <param name="Reason">Why it was not accepted; null when it was.</param>
public sealed record OwnershipAnswer(bool Accepted, OwnershipView View, Reason? Reason);
