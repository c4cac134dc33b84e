using System.Net;

namespace SpecMesh.DataPath;

/// <summary>
/// Where a migration stream stands at the target.
/// <code>
///           hello, proof            SETUP             COMPLETE, verified           VOTE
///   Waiting ────────────> Connected ─────> Receiving ──────────────────> Complete ──────> Voted ─── ReportResumed ──> Ended
///                                           │  ^ │                         │   ^            │
///                      DATA ROUND_END STATE └──┘ └────────── VOID ─────────┘   └─ ReportRefused
///                                                   (also VOID in Receiving)
/// </code>
/// STATE follows the last pages' ROUND_END, once, and nothing but COMPLETE, VOID or ABORT follows it.
/// Every other record in a state is <see cref="MigrationFault.OutOfOrder"/>. ABORT, a fault and disposal lead from everywhere to Ended. In Voted nothing more is read until
/// the owner has said what became of the vote: an image that may be about to run is not touched.
/// </summary>
public enum ReceiverState
{
    /// <summary>No source has proved itself yet.</summary>
    Waiting,

    /// <summary>A source has proved itself, and has not said what its guest is.</summary>
    Connected,

    /// <summary>Pages come.</summary>
    Receiving,

    /// <summary>The whole image of an incarnation is here and verified.</summary>
    Complete,

    /// <summary>The source has voted; the owner of this session asks for the ownership.</summary>
    Voted,

    /// <summary>Nothing more is read or written.</summary>
    Ended,
}

/// <summary>Something that the owner of a <see cref="MigrationReceiver"/> should know.</summary>
public abstract record ReceiverEvent;

/// <summary>The source has proved itself.</summary>
public sealed record SourceConnected(EndPoint? Peer) : ReceiverEvent;

/// <summary>A round is applied.</summary>
/// <param name="Round">Number of the round, from 1.</param>
/// <param name="Final">True for the last pages of an image.</param>
/// <param name="Pages">Pages applied in it, zero pages included.</param>
/// <param name="ZeroPages">How many of them are zero.</param>
/// <param name="BytesReceived">Bytes of page records since the beginning.</param>
/// <param name="CoveredPages">Pages of the guest that have arrived at least once.</param>
public sealed record RoundApplied(int Round, bool Final, long Pages, long ZeroPages, long BytesReceived, long CoveredPages) : ReceiverEvent;

/// <summary>The image of this incarnation is whole and verified, and READY is on its way.</summary>
/// <param name="Incarnation">The incarnation.</param>
/// <param name="Digest">Its digest, 16 hexadecimal digits.</param>
/// <param name="OwnershipVersion">Version of the machine's event stream that the source held when it sent the last pages.</param>
public sealed record ImageCompleted(int Incarnation, string Digest, long OwnershipVersion) : ReceiverEvent;

/// <summary>The source resumes the guest in this incarnation: what was complete is not any more.</summary>
public sealed record ImageVoided(int Incarnation) : ReceiverEvent;

/// <summary>The source votes for this replica. The owner answers by <see cref="MigrationReceiver.ReportResumed"/> or <see cref="MigrationReceiver.ReportRefused"/>.</summary>
/// <param name="OwnershipVersion">Version of the machine's event stream at which the ownership may be appended.</param>
/// <param name="Incarnation">Incarnation of the image that may run.</param>
/// <param name="Epoch">Epoch of the operation.</param>
public sealed record VoteReceived(long OwnershipVersion, int Incarnation, int Epoch) : ReceiverEvent;

/// <summary>The source ended the migration stream and said why. The last event.</summary>
public sealed record SourceAborted(string Reason) : ReceiverEvent;

/// <summary>The migration stream failed. The last event.</summary>
public sealed record MigrationFailed(MigrationFault Fault, string Reason) : ReceiverEvent;

/// <summary>What a fault injector does to one migration stream at its target.</summary>
/// <param name="BytesPerSecond">Receive no faster than this; 0 for no limit.</param>
/// <param name="FailAfterBytes">Break the connection before this many bytes have been received after the handshake; 0 for never.</param>
public sealed record ReceiverFaults(long BytesPerSecond = 0, long FailAfterBytes = 0);
