using SpecMesh.Contracts;
using SpecMesh.DataPath;

namespace SpecMesh.Hypervisors;

/// <summary>One hypervisor of one host, as its agent drives it. Safe for concurrent use.</summary>
public interface IHypervisor
{
    /// <summary>Name of the driver, for the operator: <c>process</c>, <c>xen</c>.</summary>
    string Name { get; }

    /// <summary>Tests on guests of its own what the driver can do here. The first answer is kept.</summary>
    /// <exception cref="HypervisorException">The driver cannot work on this host at all; the message says why.</exception>
    /// <exception cref="PlatformNotSupportedException">The driver is for another operating system.</exception>
    Task<HypervisorCapabilities> ProbeAsync(CancellationToken cancellationToken);

    /// <summary>Builds a machine that does not run. Its memory is there, wholly charged to the host, and holds the machine's first state.</summary>
    /// <exception cref="HypervisorException">Refused or failed; nothing is left behind.</exception>
    Task<IGuest> BuildPausedAsync(GuestSpec spec, CancellationToken cancellationToken);

    /// <summary>Builds what waits for the image of a machine that is elsewhere. What its memory needs is charged to the host, or is known to be there.</summary>
    /// <exception cref="HypervisorException">Refused or failed; nothing is left behind.</exception>
    Task<IShell> BuildShellAsync(GuestSpec spec, CancellationToken cancellationToken);

    /// <summary>
    /// Finds the guests that live on this host under this driver, also those that another agent process built. What dead guests left behind is
    /// cleaned. Each call gives new objects: it is for the start of an agent.
    /// </summary>
    Task<IReadOnlyList<IGuest>> FindGuestsAsync(CancellationToken cancellationToken);
}

/// <summary>
/// One guest. Disposing detaches and never ends the guest.
/// <code>
/// Build → Paused ── Start ──→ Running ── Suspend ──→ Suspended
///                                ↑─────── Resume ───────┘         every state ── Destroy ──→ null
/// </code>
/// A call in another order throws <see cref="HypervisorException"/> and changes nothing.
/// </summary>
public interface IGuest : IAsyncDisposable
{
    /// <summary>Whose replica this is. It outlives the agent.</summary>
    GuestTag Tag { get; }

    /// <summary>How the guest stands; null once it is gone.</summary>
    GuestState? State { get; }

    /// <summary>Completes when the guest is gone, for whatever reason. It does not complete by detaching.</summary>
    Task Exited { get; }

    /// <summary>Memory of the machine as it is defined, in bytes. What its hypervisor keeps beside it is not counted.</summary>
    long MemoryBytes { get; }

    /// <summary>A number that grows only while the guest executes. Its unit is the driver's own.</summary>
    /// <exception cref="ObjectDisposedException">Detached or destroyed.</exception>
    long Progress { get; }

    /// <summary>The memory. It throws <see cref="ObjectDisposedException"/> after the guest is destroyed or detached, and there may be none before an image has come.</summary>
    IGuestMemory Memory { get; }

    /// <summary>Opens the one dirty log of the guest. One consumer at a time.</summary>
    /// <exception cref="DirtyLogException">No tracker works for this guest; the message says why.</exception>
    IDirtyLog OpenDirtyLog();

    /// <summary>What the driver at a target must know of the guest before its first page. It belongs to the memory as the dirty log that was opened last sees it.</summary>
    /// <returns>Bytes of the driver's own, for <see cref="IImageShell.Open"/>.</returns>
    /// <exception cref="HypervisorException">The guest cannot be migrated; the message says why.</exception>
    Task<byte[]> ReadSetupAsync(CancellationToken cancellationToken);

    /// <summary>What a suspended guest is beside its memory.</summary>
    /// <returns>Bytes of the driver's own, for <see cref="IImageShell.Complete"/>; empty when there is nothing.</returns>
    /// <exception cref="HypervisorException">Not suspended, or gone.</exception>
    byte[] ReadState();

    /// <summary>A paused guest begins to run from what its memory holds.</summary>
    /// <param name="commit">Shows that this very guest is the machine's owner.</param>
    /// <param name="cancellationToken">Ends the wait; the guest may run then.</param>
    /// <exception cref="HypervisorException">The commit names another guest; or the guest is not paused, or its memory holds no guest.</exception>
    Task StartAsync(DurableCommit commit, CancellationToken cancellationToken);

    /// <summary>Stops the guest at once, wherever it is. When this completes nothing of it executes and nothing writes its memory.</summary>
    /// <exception cref="HypervisorException">Not running, or it cannot be stopped.</exception>
    Task SuspendAsync(CancellationToken cancellationToken);

    /// <summary>A suspended guest goes on exactly where it was.</summary>
    /// <exception cref="HypervisorException">Not suspended.</exception>
    Task ResumeAsync(CancellationToken cancellationToken);

    /// <summary>Ends the guest in any state and completes when nothing of it is left. Idempotent.</summary>
    Task DestroyAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Compares every byte with what the guest must have written. A running guest is stopped meanwhile. Only where
    /// <see cref="HypervisorCapabilities.CanVerify"/>.
    /// </summary>
    /// <exception cref="HypervisorException">The driver's guests cannot be verified, or the guest is gone.</exception>
    Task<GuestVerification> VerifyAsync(CancellationToken cancellationToken);

    /// <summary>Replaces the tag, atomically: a crash leaves the old or the new one.</summary>
    /// <exception cref="ArgumentException">The tag names another machine.</exception>
    Task RetagAsync(GuestTag tag);
}

/// <summary>
/// A guest that waits for an image. It is <see cref="GuestState.Paused"/> from the beginning, and can be started once the image is complete. Whatever becomes of it, <see cref="IGuest.DestroyAsync"/>
/// leaves nothing.
/// </summary>
public interface IShell : IGuest, IImageShell;

/// <summary>Whose replica a guest is. Stored with the guest, so that an agent that starts again knows what it finds.</summary>
/// <param name="VmId">The machine: 1 to 63 of <c>a-z 0-9 -</c>, beginning with a letter or digit.</param>
/// <param name="OperationId">The operation that built the guest; null when it belongs to none.</param>
/// <param name="Replica">The replica of that operation.</param>
/// <param name="Epoch">Epoch that the operation was opened in, or that the guest owns the machine in.</param>
public sealed record GuestTag(string VmId, Guid? OperationId, int? Replica, int Epoch);

/// <summary>What to build.</summary>
/// <param name="Tag">Whose replica it is.</param>
/// <param name="Vm">The machine. A shell needs only its memory size, a multiple of 4096 bytes.</param>
public sealed record GuestSpec(GuestTag Tag, VmDefinition Vm);

/// <summary>What a driver can do on this host, found out by trying.</summary>
/// <param name="DirtyTracker">The tracker that guests are built with; null: guests run and images are received, but no guest can be migrated away.</param>
/// <param name="Trackers">Every tracker that was considered, in order of preference.</param>
/// <param name="CanVerify">True when guests can be verified.</param>
public sealed record HypervisorCapabilities(string? DirtyTracker, IReadOnlyList<DirtyTrackerReport> Trackers, bool CanVerify)
{
    private const string NotOffered = "the driver does not offer it";

    /// <summary>Why guests can be neither saved nor restored nor cloned (<see cref="ISnapshots"/>); null when they can.</summary>
    public string? SnapshotsRefused { get; init; } = NotOffered;

    /// <summary>Why the number of a running guest's processors cannot be set (<see cref="IReconfigure"/>); null when it can.</summary>
    public string? ProcessorsRefused { get; init; } = NotOffered;

    /// <summary>Why a running guest's memory cannot be set (<see cref="IReconfigure"/>); null when it can.</summary>
    public string? MemoryRefused { get; init; } = NotOffered;
}

/// <summary>What became of one dirty tracker.</summary>
/// <param name="Name">Name of the tracker.</param>
/// <param name="Usable">True when it passed the self-test; null when it was not tried.</param>
/// <param name="Reason">Why it is not used; null when it passed.</param>
public sealed record DirtyTrackerReport(string Name, bool? Usable, string? Reason);

/// <summary>Outcome of a verification.</summary>
/// <param name="Intact">True when no page is wrong.</param>
/// <param name="Steps">Steps that the guest has completed, by its own counter.</param>
/// <param name="BadPages">Number of pages that hold anything else than they must.</param>
/// <param name="FirstBadPage">The lowest of them; -1 when there is none.</param>
public sealed record GuestVerification(bool Intact, long Steps, long BadPages, long FirstBadPage);

/// <summary>A hypervisor refused or failed; the message is for the operator.</summary>
public sealed class HypervisorException(string message, Exception? inner = null) : Exception(message, inner);
