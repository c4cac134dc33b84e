namespace SpecMesh.DataPath;

/// <summary>What went wrong with a migration stream.</summary>
public enum MigrationFault
{
    /// <summary>A record that no sender of this format writes: bad magic, version, type, flags or length.</summary>
    Malformed,

    /// <summary>A page number or a run outside of the guest's memory.</summary>
    OutOfRange,

    /// <summary>The check of a record does not match its bytes.</summary>
    Corrupt,

    /// <summary>A record that is not legal in this state, or that is repeated or skipped.</summary>
    OutOfOrder,

    /// <summary>The peer did not show that it has the token, or nobody expects it.</summary>
    Unauthenticated,

    /// <summary>The peer took longer than the handshake may take.</summary>
    TimedOut,

    /// <summary>The connection ended or broke.</summary>
    ConnectionLost,

    /// <summary>The image was declared complete before every page had arrived.</summary>
    IncompleteImage,

    /// <summary>The two ends have different images.</summary>
    DigestMismatch,

    /// <summary>The image became void while it was being completed, because the source resumes the guest.</summary>
    Voided,

    /// <summary>The peer ended the migration stream and said so.</summary>
    AbortedByPeer,

    /// <summary>The own side ended the migration stream.</summary>
    Aborted,

    /// <summary>The guest's memory could not be read or written: the guest or its shell is gone.</summary>
    MemoryFailed,

    /// <summary>A fault injector broke the migration stream.</summary>
    Injected,
}

/// <summary>A migration stream failed. It cannot be used any more, except after <see cref="MigrationFault.Voided"/>.</summary>
public sealed class MigrationException(MigrationFault fault, string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>What went wrong.</summary>
    public MigrationFault Fault { get; } = fault;
}
