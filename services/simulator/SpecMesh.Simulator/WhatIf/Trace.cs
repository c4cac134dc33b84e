using SpecMesh.Contracts;

namespace SpecMesh.Simulator.WhatIf;

/// <summary>How a recorded replica ended.</summary>
public enum RecordedOutcome
{
    /// <summary>It won.</summary>
    Won,

    /// <summary>A fault ended it.</summary>
    Failed,

    /// <summary>A policy or a caller ended it: it says nothing about its host.</summary>
    Aborted,
}

/// <summary>A recorded replica.</summary>
/// <param name="Host">Number of its host in <see cref="Trace.Hosts"/>.</param>
/// <param name="StartSeconds">When it started, since the Unix epoch.</param>
/// <param name="EndSeconds">When it ended.</param>
/// <param name="Outcome">How.</param>
/// <param name="BytesSent">What was sent to it.</param>
public sealed record RecordedReplica(int Host, double StartSeconds, double EndSeconds, RecordedOutcome Outcome, long BytesSent)
{
    /// <summary>How long it took.</summary>
    public double Seconds => EndSeconds - StartSeconds;
}

/// <summary>A recorded operation.</summary>
/// <param name="Id">Its name.</param>
/// <param name="Kind">What was done.</param>
/// <param name="RequestedSeconds">When it was asked for, since the Unix epoch.</param>
/// <param name="MemoryBytes">Memory of its machine.</param>
/// <param name="Source">Number of the host that the machine left; -1: none, or not recorded.</param>
/// <param name="Replicas">What was tried, in the order of the line.</param>
public sealed record RecordedOperation(string Id, OperationKind Kind, double RequestedSeconds, long MemoryBytes, int Source, IReadOnlyList<RecordedReplica> Replicas)
{
    /// <summary>The replica that won; null when none did.</summary>
    public RecordedReplica? Winner => Replicas.FirstOrDefault(replica => replica.Outcome == RecordedOutcome.Won);

    /// <summary>Time from the request until the first replica started: no policy changes it.</summary>
    public double QueuedSeconds => Replicas.Min(replica => replica.StartSeconds) - RequestedSeconds;
}

/// <summary>What a live system did.</summary>
/// <param name="Operations">In the order of their requests.</param>
/// <param name="Hosts">Names of all hosts.</param>
/// <param name="RackOf">Number of each host's rack.</param>
public sealed record Trace(IReadOnlyList<RecordedOperation> Operations, IReadOnlyList<string> Hosts, IReadOnlyList<int> RackOf);
