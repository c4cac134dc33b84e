namespace SpecMesh.Hypervisors.Xen.Receiving;

/// <summary>What went wrong between this host and its stock receiver.</summary>
public enum MigrateReceiveFault
{
    /// <summary>It closed its side, or ended, before the conversation was over.</summary>
    ClosedEarly,

    /// <summary>It said something that is not in the protocol, or that does not belong there.</summary>
    Garbage,

    /// <summary>It did not end when it should have, and said more than anybody has to listen to.</summary>
    TooLong,

    /// <summary>It said nothing for too long.</summary>
    NoAnswer,

    /// <summary>It says itself that it could not start its domain.</summary>
    NotStarted,

    /// <summary>It did not take what was sent to it.</summary>
    NotTaken,
}

/// <summary>A conversation with a stock receiver did not come to its end.</summary>
/// <param name="fault">What went wrong.</param>
/// <param name="message">In words.</param>
/// <param name="code">The code that it reported; null when it reported none.</param>
/// <param name="inner">The cause, where there is one.</param>
public sealed class MigrateReceiveException(MigrateReceiveFault fault, string message, byte? code = null, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>What went wrong.</summary>
    public MigrateReceiveFault Fault { get; } = fault;

    /// <summary>The code that it reported; null when it reported none.</summary>
    public byte? Code { get; } = code;
}
