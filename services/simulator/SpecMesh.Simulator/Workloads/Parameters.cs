using System.ComponentModel.DataAnnotations;
using SpecMesh.Simulator.Model;
using SpecMesh.Speculation.Health;

namespace SpecMesh.Simulator.Workloads;

/// <summary>How the network divides a link between the migration streams on it.</summary>
public enum NetworkSharing
{
    /// <summary>A stream gets the smallest of its own cap and its equal share of either NIC: near to max-min, and cheap.</summary>
    Simple,

    /// <summary>Max-min fairness: what one stream cannot use, the others on its link get.</summary>
    MaxMin,
}

/// <summary>
/// Every number of the model, with its default and the limits within which it makes sense. <c>--set name=value</c> changes one: the name is the property's, in any case.
/// Units stand last in the names; what has none is a share, a count or a switch. <see cref="ParameterText"/> reads them and <c>services/simulator/README.md</c> lists them.
/// </summary>
public sealed record Parameters
{
    /// <summary>The defaults: the evaluation's model.</summary>
    public static Parameters Default { get; } = new();

    // ---- The cluster ----

    /// <summary>Servers of a rack, the failure domain of the adaptive policy.</summary>
    [Range(1, 1024)]
    public int ServersPerRack { get; init; } = 32;

    /// <summary>Machines of a server at the start.</summary>
    [Range(1, 64)]
    public int VmsPerServer { get; init; } = 20;

    /// <summary>Cores of a server.</summary>
    [Range(1, 1024)]
    public int ServerCores { get; init; } = 32;

    /// <summary>Memory of a server, in GB (10⁹ bytes), to a quarter.</summary>
    [Range(32, 8000)]
    public double ServerMemoryGb { get; init; } = 128;

    // ---- Failures: exactly round(share · servers) servers refuse and break operations at every instant; their own machines run on ----

    /// <summary>Shortest failure.</summary>
    [Range(1e-3, 1e6)]
    public double FailureMinSeconds { get; init; } = 60;

    /// <summary>Longest failure. Durations are uniform.</summary>
    [Range(1e-3, 1e6)]
    public double FailureMaxSeconds { get; init; } = 1800;

    /// <summary>Whether a server that fails breaks the replicas that are on it; if not, only replicas that start on a failed server fail.</summary>
    public bool MidOperationFailures { get; init; } = true;

    /// <summary>Whether an operation whose source fails fails too: a common cause, against which no number of replicas helps.</summary>
    public bool SourceFailures { get; init; }

    // ---- Migration ----

    /// <summary>What a NIC carries in each direction, in GB/s.</summary>
    [Range(1e-3, 1e3)]
    public double NicGbPerSecond { get; init; } = 1.25;

    /// <summary>The most that one migration stream carries, in GB/s.</summary>
    [Range(1e-3, 1e3)]
    public double StreamGbPerSecond { get; init; } = 0.3;

    /// <summary>How links are shared.</summary>
    public NetworkSharing Network { get; init; } = NetworkSharing.Simple;

    /// <summary>Operations that leave one source at the same time, at most.</summary>
    [Range(1, 64)]
    public int OperationsPerSource { get; init; } = 4;

    /// <summary>Lowest rate at which a guest dirties its memory. Rates are log-uniform.</summary>
    [Range(1e-3, 1e7)]
    public double DirtyMinPagesPerSecond { get; init; } = 100;

    /// <summary>Highest rate at which a guest dirties its memory.</summary>
    [Range(1e-3, 1e7)]
    public double DirtyMaxPagesPerSecond { get; init; } = 10_000;

    /// <summary>The part of its memory that a guest writes to.</summary>
    [Range(0, 1)]
    public double WorkingSetShare { get; init; } = 0.1;

    /// <summary>Pre-copy ends when so few pages are left.</summary>
    [Range(0, 1e6)]
    public int StopPages { get; init; } = 50;

    /// <summary>Pre-copy ends after so many rounds: 30 as Xen's older toolstack, 5 as its newer one.</summary>
    [Range(1, 1000)]
    public int MaxRounds { get; init; } = 30;

    /// <summary>Pre-copy ends when more would be sent than so many times the memory.</summary>
    [Range(1, 1000)]
    public double MaxSentFactor { get; init; } = 3;

    /// <summary>Pre-copy ends when what is left can be sent in this time; 0: this does not count.</summary>
    [Range(0, 1e3)]
    public double StopSeconds { get; init; }

    /// <summary>How memory becomes dirty.</summary>
    public Dirtying Dirtying { get; init; } = Dirtying.Random;

    /// <summary>A migration to a failed server ends with an error after at least this time.</summary>
    [Range(0, 1e5)]
    public double MigrationErrorMinSeconds { get; init; } = 1;

    /// <summary>A migration to a failed server ends with an error after at most this time.</summary>
    [Range(0, 1e5)]
    public double MigrationErrorMaxSeconds { get; init; } = 5;

    // ---- The naive manager, and when an algorithm runs anew ----

    /// <summary>First pause of the naive manager; it doubles with every attempt.</summary>
    [Range(1e-3, 1e5)]
    public double BackOffSeconds { get; init; } = 15;

    /// <summary>How long an invocation of a placement algorithm has: what is unfinished then has failed, and the algorithm runs anew.</summary>
    [Range(1, 1e5)]
    public double InvocationSeconds { get; init; } = 300;

    // ---- What a migration may cost, judged every second by the production's policies; 0: not limited ----

    /// <summary>Longest time of a replica.</summary>
    [Range(0, 86_400)]
    public double TimeoutSeconds { get; init; }

    /// <summary>
    /// Most that a replica sends, in times its memory. A guest of this model's defaults sends at most 1.09 times its memory at full rate, and one with less than a tenth left may finish, which it has after
    /// its first round: so this acts on guests that write more, or more quickly (<see cref="WorkingSetShare"/>, <see cref="DirtyMaxPagesPerSecond"/>).
    /// </summary>
    [Range(0, 1000)]
    public double MaxBytesFactor { get; init; }

    /// <summary>Lowest share of its siblings' median rate that a replica may have.</summary>
    [Range(0, 0.99)]
    public double MinProgress { get; init; }

    /// <summary>Whether the last replica that works may be ended too. If not, an operation that has only slow targets goes on.</summary>
    public bool AbortLast { get; init; }

    /// <summary>Share of the servers that take migration streams slowly, all the time.</summary>
    [Range(0, 1)]
    public double SlowShare { get; init; }

    /// <summary>The part of a stream's rate that a slow server takes.</summary>
    [Range(1e-4, 1)]
    public double SlowFactor { get; init; } = 0.1;

    // ---- Hedged start ----

    /// <summary>A hedged operation starts its next replica after so long; 0 means the workload's normal time (three quarters of the starts end before it).</summary>
    [Range(0, 1e5)]
    public double HedgeDelaySeconds { get; init; }

    // ---- Adaptive replication ----

    /// <summary>Share of operations that may fail at their first try.</summary>
    [Range(1e-6, 0.5)]
    public double AdaptiveEpsilon { get; init; } = 0.01;

    /// <summary>Most replicas of an operation.</summary>
    [Range(1, 16)]
    public int AdaptiveMaxReplicas { get; init; } = 5;

    /// <summary>Servers that the adaptive policy compares for one operation. More find better ones, and cost the simulation time.</summary>
    [Range(1, 64)]
    public int AdaptiveSample { get; init; } = 16;

    // ---- Capacity multiplexing ----

    /// <summary>A server above this share of its cores is overloaded, and sheds machines until it is not.</summary>
    [Range(0, 1)]
    public double OverloadedShare { get; init; } = 0.75;

    /// <summary>A server below this share of its cores may receive machines.</summary>
    [Range(0, 1)]
    public double UnderloadedShare { get; init; } = 0.55;

    /// <summary>Servers without room that are looked at for one machine before the search ends.</summary>
    [Range(1, 1e6)]
    public int TargetMisses { get; init; } = 40;

    /// <summary>Mean time until a machine's demand changes. Times are exponential; the demand is cores · Beta(1, 2).</summary>
    [Range(1, 1e7)]
    public double DemandMeanSeconds { get; init; } = 1200;

    /// <summary>Time before anything is counted, in every workload that has no natural start.</summary>
    [Range(0, 1e7)]
    public double WarmUpSeconds { get; init; } = 3600;

    /// <summary>Time that is counted, for capacity multiplexing.</summary>
    [Range(1, 1e8)]
    public double CapacitySeconds { get; init; } = 4 * 3600;

    // ---- CI launch ----

    /// <summary>Launches per second of a cluster of 1024 servers; other clusters in proportion.</summary>
    [Range(1e-3, 1e5)]
    public double LaunchesPerSecondPer1024 { get; init; } = 2;

    /// <summary>Half of the machines boot within this time. Times are log-normal.</summary>
    [Range(1e-3, 1e5)]
    public double BootMedianSeconds { get; init; } = 90;

    /// <summary>Standard deviation of the logarithm of the boot time; 0: every boot takes the median.</summary>
    [Range(0, 3)]
    public double BootSigma { get; init; } = 0.4;

    /// <summary>A launch on a failed server ends with an error after at least this time.</summary>
    [Range(0, 1e5)]
    public double LaunchErrorMinSeconds { get; init; } = 5;

    /// <summary>A launch on a failed server ends with an error after at most this time.</summary>
    [Range(0, 1e5)]
    public double LaunchErrorMaxSeconds { get; init; } = 60;

    /// <summary>How often launches that failed are tried again, on other servers.</summary>
    [Range(1, 1e5)]
    public double ScanSeconds { get; init; } = 60;

    /// <summary>Time that is counted, for CI launch.</summary>
    [Range(1, 1e8)]
    public double LaunchSeconds { get; init; } = 7 * 3600;

    // ---- Rolling upgrade ----

    /// <summary>Servers of a cluster of 1024 that are evacuated and upgraded at the same time; other clusters in proportion, at least one.</summary>
    [Range(1, 1024)]
    public int UpgradesPer1024 { get; init; } = 16;

    /// <summary>Shortest upgrade of an empty server.</summary>
    [Range(0, 1e6)]
    public double UpgradeMinSeconds { get; init; } = 600;

    /// <summary>Longest upgrade of an empty server. Times are uniform.</summary>
    [Range(0, 1e6)]
    public double UpgradeMaxSeconds { get; init; } = 1200;

    // ---- What is simulated ----

    /// <summary>The closed forms' assumptions: every target has room, and streams share no link.</summary>
    public bool Validation { get; init; }

    /// <summary>Whether anything is set that only migrations know: a limit of their cost, or slow servers.</summary>
    public bool LimitsMigrations => TimeoutSeconds > 0 || MaxBytesFactor > 0 || MinProgress > 0 || SlowShare > 0;

    /// <summary>The fault model at a share of failed servers.</summary>
    public FaultModel FaultsOf(double failedShare) => new(failedShare, FailureMinSeconds, FailureMaxSeconds);
}
