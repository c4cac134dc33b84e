using SpecMesh.Hosting;
using Xunit.Abstractions;

namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>At this step of a migration one connection fails, in one direction or in both.</summary>
public sealed class LinkFault : IXunitSerializable
{
    /// <summary>Which: the ownership calls of both agents, and the winner's migration stream.</summary>
    public static readonly string[] Between = ["source to policy", "winner to policy", "source to winner"];

    /// <summary>How: what is asked does not arrive; what is answered does not arrive; it breaks.</summary>
    public static readonly string[] Faults = ["loses requests", "loses answers", "is reset"];

    /// <summary>When: around the vote, where one connection decides something.</summary>
    public static readonly string[] Steps = [FaultPoints.Suspended, FaultPoints.Ready, FaultPoints.Voted, FaultPoints.Appending, FaultPoints.Answering, FaultPoints.Resumed];

    [Obsolete("For xunit, which reads cases back from their serialized form.")]
    public LinkFault()
        : this("", "", "")
    {
    }

    public LinkFault(string link, string fault, string step) => (Link, Fault, Step) = (link, fault, step);

    public string Link { get; private set; }

    public string Fault { get; private set; }

    public string Step { get; private set; }

    public int Rotation => Array.IndexOf(Between, Link) + Array.IndexOf(Faults, Fault) + Array.IndexOf(Steps, Step);

    /// <summary>True for the third that runs in CI, by the same rule as for <see cref="Cell"/>.</summary>
    public bool IsInTheThird => Rotation % 3 == 0;

    /// <summary>All cells of links, faults and steps.</summary>
    public static IEnumerable<LinkFault> All() =>
        from step in Steps
        from link in Between
        from fault in Faults
        select new LinkFault(link, fault, step);

    public void Deserialize(IXunitSerializationInfo info) =>
        (Link, Fault, Step) = (info.GetValue<string>(nameof(Link)), info.GetValue<string>(nameof(Fault)), info.GetValue<string>(nameof(Step)));

    public void Serialize(IXunitSerializationInfo info)
    {
        info.AddValue(nameof(Link), Link);
        info.AddValue(nameof(Fault), Fault);
        info.AddValue(nameof(Step), Step);
    }

    /// <summary>As it stands in the test's name: <c>winner to policy loses answers at appending</c>.</summary>
    public override string ToString() => $"{Link} {Fault} at {Step}";
}
