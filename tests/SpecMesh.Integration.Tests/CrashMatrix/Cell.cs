using SpecMesh.Hosting;
using Xunit.Abstractions;

namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>One cell of the matrix: at this step of a migration this happens to this process.</summary>
public sealed class Cell : IXunitSerializable
{
    /// <summary>Who may be struck. Agents by their part in the operation.</summary>
    public static readonly string[] Processes = ["gateway", "placement", "replication-policy", "failure-monitor", "source", "winner", "loser"];

    /// <summary>When.</summary>
    public static readonly string[] Steps =
    [
        FaultPoints.Accepted, FaultPoints.Planned, FaultPoints.Reserved, FaultPoints.StreamsOpen, FaultPoints.Round, FaultPoints.Suspended, FaultPoints.Ready, FaultPoints.Voted,
        FaultPoints.Appended, FaultPoints.Resumed, FaultPoints.SourceDestroyed, FaultPoints.LosersCleaned,
    ];

    /// <summary>Around the commits of the services, where only the one that commits is struck.</summary>
    public static readonly string[] CommitSteps =
        [FaultPoints.Accepting, FaultPoints.Reserving, FaultPoints.Planning, FaultPoints.Appending, FaultPoints.Answering, FaultPoints.Settled];

    /// <summary>By what.</summary>
    public static readonly string[] Faults = ["killed", "frozen", "cut-off"];

    /// <summary>All services and agents at once; they are only killed.</summary>
    public const string Everyone = "everyone";

    private static readonly string[] AllProcesses = [.. Processes, Everyone];
    private static readonly string[] AllSteps = [.. Steps, .. CommitSteps];

    [Obsolete("For xunit, which reads cells back from their serialized form.")]
    public Cell()
        : this("", "", "")
    {
    }

    public Cell(string process, string step, string fault) => (Process, Step, Fault) = (process, step, fault);

    public string Process { get; private set; }

    public string Step { get; private set; }

    public string Fault { get; private set; }

    /// <summary>Says which host has which part: the parts go round, so that no host has one of them only.</summary>
    public int Rotation => Array.IndexOf(AllProcesses, Process) + (2 * Array.IndexOf(AllSteps, Step)) + Array.IndexOf(Faults, Fault);

    /// <summary>
    /// True for the third that runs in CI: process + step + fault divisible by three, so that every process meets every step and every fault, and every step every fault.
    /// </summary>
    public bool IsInTheThird => (Array.IndexOf(AllProcesses, Process) + Array.IndexOf(AllSteps, Step) + Array.IndexOf(Faults, Fault)) % 3 == 0;

    /// <summary>All cells.</summary>
    public static IEnumerable<Cell> All() =>
    [
        .. from step in Steps from process in Processes from fault in Faults select new Cell(process, step, fault),
        .. from step in CommitSteps from fault in Faults select new Cell(HolderOf(step), step, fault),
        .. from step in Steps select new Cell(Everyone, step, "killed"),
    ];

    /// <summary>Who reaches the step: whom it is armed for.</summary>
    public static string HolderOf(string step) => step switch
    {
        FaultPoints.Reserving or FaultPoints.Reserved => "placement",
        FaultPoints.StreamsOpen or FaultPoints.Round or FaultPoints.Suspended or FaultPoints.Voted or FaultPoints.SourceDestroyed => "source",
        FaultPoints.Ready or FaultPoints.Appended or FaultPoints.Resumed => "winner",
        FaultPoints.LosersCleaned => "loser",
        _ => "replication-policy",
    };

    public void Deserialize(IXunitSerializationInfo info) =>
        (Process, Step, Fault) = (info.GetValue<string>(nameof(Process)), info.GetValue<string>(nameof(Step)), info.GetValue<string>(nameof(Fault)));

    public void Serialize(IXunitSerializationInfo info)
    {
        info.AddValue(nameof(Process), Process);
        info.AddValue(nameof(Step), Step);
        info.AddValue(nameof(Fault), Fault);
    }

    /// <summary>As it stands in the test's name: <c>source frozen at voted</c>.</summary>
    public override string ToString() => $"{Process} {Fault} at {Step}";
}
