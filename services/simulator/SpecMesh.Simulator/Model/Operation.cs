namespace SpecMesh.Simulator.Model;

/// <summary>How a manager runs an operation.</summary>
public enum ManagerKind
{
    /// <summary>All replicas at once on different servers, no retry: the replicas are the retries.</summary>
    AllAtOnce,

    /// <summary>One replica; after a failure the same server again, each time after twice the pause: the naive manager.</summary>
    RetrySameServer,

    /// <summary>One replica; the next ones only after a delay each, or when none is left.</summary>
    Hedged,
}

/// <summary>Where a replica stands.</summary>
public enum ReplicaPhase : byte
{
    /// <summary>Its place is free.</summary>
    None,

    /// <summary>It was started on a failed server, and returns its error soon.</summary>
    Refused,

    /// <summary>It works, and fails when its server fails.</summary>
    Working,

    /// <summary>Its source is suspended: it holds the commit gate.</summary>
    StopAndCopy,
}

/// <summary>One operation.</summary>
public struct Operation
{
    /// <summary>The machine, or the launch; in a free place the next free place.</summary>
    public int Subject { get; set; }

    /// <summary>The server that has the machine; -1: none.</summary>
    public int Source { get; set; }

    /// <summary>Number of the try, which random numbers are drawn by.</summary>
    public uint Draw { get; set; }

    /// <summary>The event of its clock that counts.</summary>
    public uint Timer { get; set; }

    /// <summary>Its replica that started last, and through it the others; -1: none.</summary>
    public int FirstReplica { get; set; }

    /// <summary>The replica that holds the commit gate; -1: none.</summary>
    public int Owner { get; set; }

    /// <summary>When it was opened.</summary>
    public long StartNs { get; set; }

    /// <summary>The manager starts nothing at or after this.</summary>
    public long DeadlineNs { get; set; }

    /// <summary>What all of its replicas sent, those that are gone.</summary>
    public double SentBytes { get; set; }

    /// <summary>How many targets it has.</summary>
    public byte Planned { get; set; }

    /// <summary>How many replicas were started, retries counted.</summary>
    public byte Started { get; set; }

    /// <summary>How many may still win.</summary>
    public byte Live { get; set; }

    /// <summary>How many a cost limit has ended.</summary>
    public byte CostAborts { get; set; }

    /// <summary>Whether it is open.</summary>
    public bool IsOpen { get; set; }

    /// <summary>Whether it falls into the time that results are taken from.</summary>
    public bool Counted { get; set; }
}

/// <summary>One replica.</summary>
public struct Replica
{
    /// <summary>Its operation.</summary>
    public int Operation { get; set; }

    /// <summary>Its target.</summary>
    public int Server { get; set; }

    /// <summary>Links of the operation's replicas, and of free places.</summary>
    public int NextOfOperation { get; set; }

    /// <summary>Links of the replicas that work on its server.</summary>
    public int NextOnServer { get; set; }

    /// <summary>The link back.</summary>
    public int PreviousOnServer { get; set; }

    /// <summary>The event that it waits for.</summary>
    public uint Event { get; set; }

    /// <summary>When it was started.</summary>
    public long StartNs { get; set; }

    /// <summary>Where it stands.</summary>
    public ReplicaPhase Phase { get; set; }

    /// <summary>Its number in the operation, from 0.</summary>
    public byte Number { get; set; }
}
