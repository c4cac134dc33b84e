using SpecMesh.Contracts;
using SpecMesh.Protocol.Tests.Faults;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Protocol.Tests.Checks;

/// <summary>How often each state was seen, each fault struck, and each fault struck in each state: a schedule that exercises nothing would pass as well.</summary>
internal sealed class Coverage
{
    private static readonly int SourcePhases = Enum.GetValues<SourcePhase>().Length;
    private static readonly int TargetPhases = Enum.GetValues<TargetPhase>().Length;

    private readonly long[] sources = new long[SourcePhases];
    private readonly long[] targets = new long[TargetPhases];

    /// <summary>What must have happened besides: kinds of decision, by the events that record them.</summary>
    private static readonly string[] Marks =
    [
        "PowerOn by speculative", "PowerOn by speculative, hedged", "PowerOn by speculative, adaptive", "Migrate by speculative, hedged", "Migrate by speculative, adaptive",
        "PowerOn by retry-same-server", "PowerOn by retry-repick", "Migrate by speculative", "Migrate by retry-same-server", "Migrate by retry-repick",
        "refusal by the owner", "refusal by another", "fenced with an image", "fenced without an image", "released", "recovered", "winner lost", "host fenced", "host suspected",
        "budget cut", "hysteresis", "host probed",
    ];

    private readonly SortedDictionary<string, long> marks = new(Marks.ToDictionary(mark => mark, _ => 0L), StringComparer.Ordinal);
    private readonly long[] outcomes = new long[Enum.GetValues<OperationOutcome>().Length];
    private readonly long[] faults = new long[FaultSource.Kinds];
    private readonly long[,] faultsInSource = new long[FaultSource.Kinds, SourcePhases];
    private readonly long[,] faultsInTarget = new long[FaultSource.Kinds, TargetPhases];

    public long Refused { get; set; }

    public long Schedules { get; set; }

    public long Steps { get; set; }

    public long Operations { get; set; }

    /// <summary>An event has become durable.</summary>
    public void Saw(object @event)
    {
        if (@event is SpeculationDecided speculation)
        {
            marks["budget cut"] += speculation.Replicas < speculation.WantedReplicas ? 1 : 0;
            marks["hysteresis"] += speculation.Verdicts.Any(verdict => verdict.Code == "hysteresis") ? 1 : 0;
            marks["host probed"] += speculation.ProbedHostId is null ? 0 : 1;
        }

        string? mark = @event switch
        {
            SpecOpAccepted accepted => $"{accepted.Kind} by {accepted.Manager}{(accepted.Replication is { } wish ? $", {wish.Policy}" : "")}",
            TransferRefused refused => refused.ByOwner ? "refusal by the owner" : "refusal by another",
            OwnerFenced fenced => fenced.Recovery is null ? "fenced without an image" : "fenced with an image",
            OwnershipReleased => "released",
            MachineRecovered => "recovered",
            WinnerLost => "winner lost",
            HostFenced => "host fenced",
            HostSuspected => "host suspected",
            _ => null,
        };
        if (mark is not null)
        {
            marks[mark]++;
        }
    }

    public void Saw(SourcePhase phase) => sources[(int)phase]++;

    public void Saw(TargetPhase phase) => targets[(int)phase]++;

    public void Saw(OperationOutcome outcome) => outcomes[(int)outcome]++;

    public void Saw(Fault fault) => faults[(int)fault]++;

    public void Saw(Fault fault, SourcePhase phase) => faultsInSource[(int)fault, (int)phase]++;

    public void Saw(Fault fault, TargetPhase phase) => faultsInTarget[(int)fault, (int)phase]++;

    public void Add(Coverage other)
    {
        Add(sources, other.sources);
        Add(targets, other.targets);
        Add(outcomes, other.outcomes);
        Add(faults, other.faults);
        Add(faultsInSource, other.faultsInSource);
        Add(faultsInTarget, other.faultsInTarget);
        foreach ((string mark, long count) in other.marks)
        {
            marks[mark] += count;
        }

        Refused += other.Refused;
        Schedules += other.Schedules;
        Steps += other.Steps;
        Operations += other.Operations;
    }

    /// <summary>What never happened.</summary>
    public IEnumerable<string> Missing() =>
    [
        .. Enum.GetValues<SourcePhase>().Where(phase => sources[(int)phase] == 0).Select(phase => $"source {phase}"),
        .. Enum.GetValues<TargetPhase>().Where(phase => targets[(int)phase] == 0).Select(phase => $"target {phase}"),
        .. Enum.GetValues<OperationOutcome>().Where(outcome => outcomes[(int)outcome] == 0).Select(outcome => $"outcome {outcome}"),
        .. Enum.GetValues<Fault>().Where(fault => faults[(int)fault] == 0).Select(fault => $"fault {fault}"),
        .. marks.Where(mark => mark.Value == 0).Select(mark => mark.Key),
    ];

    public override string ToString()
    {
        IEnumerable<string> lines =
        [
            $"{Schedules} schedules, {Operations} operations, {Steps} steps",
            "outcomes: " + string.Join(", ", Enum.GetValues<OperationOutcome>().Select(outcome => $"{outcome} {outcomes[(int)outcome]}")) + $", Refused {Refused}",
            "decisions: " + string.Join(", ", marks.Select(mark => $"{mark.Key} {mark.Value}")),
            "source: " + string.Join(", ", Enum.GetValues<SourcePhase>().Select(phase => $"{phase} {sources[(int)phase]}")),
            "target: " + string.Join(", ", Enum.GetValues<TargetPhase>().Select(phase => $"{phase} {targets[(int)phase]}")),
            "faults, and in how many states of a source and of a target that was there:",
            .. Enum.GetValues<Fault>().Select(fault =>
                $"  {fault,-18} {faults[(int)fault],9}   source {string.Join(' ', Enum.GetValues<SourcePhase>().Select(phase => $"{phase}:{faultsInSource[(int)fault, (int)phase]}"))}"
                + $"   target {string.Join(' ', Enum.GetValues<TargetPhase>().Select(phase => $"{phase}:{faultsInTarget[(int)fault, (int)phase]}"))}"),
        ];
        return string.Join('\n', lines);
    }

    private static void Add(long[] into, long[] from)
    {
        for (int i = 0; i < into.Length; i++)
        {
            into[i] += from[i];
        }
    }

    private static void Add(long[,] into, long[,] from)
    {
        for (int i = 0; i < into.GetLength(0); i++)
        {
            for (int j = 0; j < into.GetLength(1); j++)
            {
                into[i, j] += from[i, j];
            }
        }
    }
}
