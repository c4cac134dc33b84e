using SpecMesh.Contracts;

namespace SpecMesh.Cli.Demo;

/// <summary>What the demonstration does.</summary>
/// <param name="Seed">Which host is the source, and which targets are broken or slow; also the guest's pages.</param>
/// <param name="MemoryBytes">Memory of the guest, a multiple of 4096.</param>
/// <param name="Sq">Number of replicas.</param>
/// <param name="WritePagesPerSecond">How many pages the guest rewrites per second.</param>
/// <param name="FailedTargets">How many targets break the transfer in its middle.</param>
/// <param name="SlowTargets">How many targets receive slowly.</param>
/// <param name="SlowBytesPerSecond">How slowly; null: a 64th of the memory per second, at least 1 MiB/s.</param>
/// <param name="Cost">What the replicas may cost; null: the defaults for this memory.</param>
/// <param name="Json">Print one JSON object and nothing else.</param>
/// <param name="Verbose">Print the services' logs.</param>
public sealed record DemoOptions(
    ulong Seed,
    long MemoryBytes,
    int Sq,
    double WritePagesPerSecond,
    int FailedTargets,
    int SlowTargets,
    long? SlowBytesPerSecond,
    CostLimits? Cost,
    bool Json,
    bool Verbose)
{
    /// <summary>Hosts of the embedded system: five, or one more than there are replicas.</summary>
    public int Hosts => Math.Max(5, Sq + 1);

    /// <summary>The rate of a slow target.</summary>
    public long SlowRate => SlowBytesPerSecond ?? Math.Max(1L << 20, MemoryBytes / 64);
}

/// <summary>One replica in the demonstration's result.</summary>
/// <param name="Target">Its host.</param>
/// <param name="State">won, aborted, failed or cancelled.</param>
/// <param name="Reason">Why.</param>
/// <param name="Rounds">Rounds that were acknowledged.</param>
/// <param name="BytesSent">Bytes on its migration stream.</param>
public sealed record DemoReplica(string Target, string State, string Reason, int Rounds, long BytesSent);

/// <summary>The demonstration's result, as <c>--json</c> prints it.</summary>
/// <param name="Operation">The migration.</param>
/// <param name="Outcome">succeeded, failed or cancelled.</param>
/// <param name="Winner">Host that runs the guest; null when no replica won.</param>
/// <param name="Runners">On how many hosts the guest ran at the end.</param>
/// <param name="MemoryVerified">True when every byte of the guest's memory was right and it had gone on counting.</param>
/// <param name="DowntimeMs">How long the guest stood still.</param>
/// <param name="BytesSent">Bytes of all migration streams.</param>
/// <param name="Replicas">All replicas.</param>
/// <param name="Leftovers">What should not have been left: empty.</param>
public sealed record DemoResult(
    Guid Operation,
    string Outcome,
    string? Winner,
    int Runners,
    bool MemoryVerified,
    double? DowntimeMs,
    long BytesSent,
    IReadOnlyList<DemoReplica> Replicas,
    IReadOnlyList<string> Leftovers)
{
    /// <summary>True when exactly one guest ran, its memory was right and nothing was left behind.</summary>
    [System.Text.Json.Serialization.JsonIgnore]
    public bool IsGood => Winner is not null && Runners == 1 && MemoryVerified && Leftovers.Count == 0;
}
