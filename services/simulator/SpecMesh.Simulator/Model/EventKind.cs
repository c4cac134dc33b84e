namespace SpecMesh.Simulator.Model;

/// <summary>What events of the model are about. Numbers, because they share a word with the entity.</summary>
public static class EventKind
{
    /// <summary>A failure ends; the entity is its place in the injector.</summary>
    public const uint FaultEnd = 1;

    /// <summary>A replica on a failed server returns its error.</summary>
    public const uint ReplicaError = 2;

    /// <summary>A guest has booted; the entity is the replica.</summary>
    public const uint BootEnd = 3;

    /// <summary>A round, or the stop-and-copy, has been sent; the entity is the replica.</summary>
    public const uint RoundEnd = 4;

    /// <summary>An operation's next step by the clock: a retry, a hedge or its deadline; the entity is the operation.</summary>
    public const uint OperationTimer = 5;

    /// <summary>The next launch is asked for.</summary>
    public const uint Arrival = 6;

    /// <summary>The workload's algorithm runs.</summary>
    public const uint Invocation = 7;

    /// <summary>A machine whose operation failed may be tried again; the entity is the machine.</summary>
    public const uint TryAgain = 8;

    /// <summary>An upgrade is done; the entity is the server.</summary>
    public const uint UpgradeEnd = 9;

    /// <summary>The cost of an operation's replicas is judged; the entity is the operation.</summary>
    public const uint CostCheck = 10;
}
