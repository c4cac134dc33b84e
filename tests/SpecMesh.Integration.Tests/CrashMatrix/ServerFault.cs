using SpecMesh.Hosting;
using Xunit.Abstractions;

namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>At this step of a migration this happens to the broker or to the database.</summary>
public sealed class ServerFault : IXunitSerializable
{
    /// <summary>By what.</summary>
    public static readonly string[] Faults =
    [
        "broker killed", "broker restarted", "broker resets connections", "broker loses the services' queue", "broker loses the winner's queue", "broker loses placement's queue", "broker out of memory",
        "database killed", "database restarted", "database breaks connections", "database read-only", "database disk full",
        "policy's commit unanswered", "placement's commit unanswered",
    ];

    /// <summary>When.</summary>
    public static readonly string[] Steps =
        [FaultPoints.Accepted, FaultPoints.Planned, FaultPoints.Round, FaultPoints.Voted, FaultPoints.Appending, FaultPoints.Answering, FaultPoints.Appended, FaultPoints.SourceDestroyed];

    [Obsolete("For xunit, which reads cases back from their serialized form.")]
    public ServerFault()
        : this("", "")
    {
    }

    public ServerFault(string fault, string step) => (Fault, Step) = (fault, step);

    public string Fault { get; private set; }

    public string Step { get; private set; }

    public int Rotation => Array.IndexOf(Faults, Fault) + Array.IndexOf(Steps, Step);

    /// <summary>
    /// True for the sixth that runs in CI: fault + step divisible by six, so that every fault meets a step and every step a fault. A sixth, because a process whose bus library has
    /// lost its connection a few times waits up to 30 seconds before it connects again.
    /// </summary>
    public bool IsAlwaysRun => Rotation % 6 == 0;

    /// <summary>All cells of faults and steps.</summary>
    public static IEnumerable<ServerFault> All() => from step in Steps from fault in Faults select new ServerFault(fault, step);

    public void Deserialize(IXunitSerializationInfo info) => (Fault, Step) = (info.GetValue<string>(nameof(Fault)), info.GetValue<string>(nameof(Step)));

    public void Serialize(IXunitSerializationInfo info)
    {
        info.AddValue(nameof(Fault), Fault);
        info.AddValue(nameof(Step), Step);
    }

    /// <summary>As it stands in the test's name: <c>database killed at voted</c>.</summary>
    public override string ToString() => $"{Fault} at {Step}";
}
