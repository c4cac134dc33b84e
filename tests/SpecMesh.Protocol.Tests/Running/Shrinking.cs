using SpecMesh.Protocol.Tests.Checks;
using SpecMesh.Protocol.Tests.Faults;

namespace SpecMesh.Protocol.Tests.Running;

/// <summary>A failing schedule with as little in it as was found to fail by the same rule.</summary>
/// <param name="Plan">What is left out.</param>
/// <param name="Cluster">Its run, traced.</param>
internal sealed record Shrunk(Plan Plan, Cluster Cluster)
{
    public override string ToString() =>
        $"Made smaller: {Cluster.Violation?.Message}\nfaults left: {string.Join(", ", Cluster.Faults.Happened.Select(fault => $"{fault.Kind} at {fault.At.TotalSeconds:F3} s"))}\n"
        + $"without operations: {string.Join(", ", Plan.OmittedOperations)}\n{Cluster.Trace}";
}

/// <summary>Makes a failing schedule smaller: whole kinds of fault go first, then operations and hosts, then single faults, for as long as the same rule is violated.</summary>
internal static class Shrinking
{
    private const int MostRuns = 400;
    private const int MostOperations = 12;
    private const int FewestHosts = 2;

    public static Shrunk Shrink(Plan plan, InvariantException violation)
    {
        int runs = 0;
        bool StillFails(Plan smaller) => ++runs <= MostRuns && Schedule.Run(smaller).Violation?.Rule == violation.Rule;
        foreach (Fault kind in Enum.GetValues<Fault>())
        {
            plan = Keep(plan, plan with { Omitted = plan.Omitted with { Kinds = new HashSet<Fault>(plan.Omitted.Kinds) { kind } } }, StillFails);
        }

        for (int operation = 0; operation < MostOperations; operation++)
        {
            plan = Keep(plan, plan with { OmittedOperations = new HashSet<int>(plan.OmittedOperations) { operation } }, StillFails);
        }

        for (int hosts = FewestHosts; hosts < 6 && plan.MostHosts == int.MaxValue; hosts++)
        {
            plan = Keep(plan, plan with { MostHosts = hosts }, StillFails);
        }

        plan = WithoutOccurrences(plan, StillFails);
        return new Shrunk(plan, Schedule.Run(plan with { Traced = true }));
    }

    /// <summary>Halves, quarters and so on of the faults that are left, at last each by itself.</summary>
    private static Plan WithoutOccurrences(Plan plan, Func<Plan, bool> stillFails)
    {
        List<int> left = [.. Schedule.Run(plan).Faults.Happened.Select(fault => fault.Number)];
        for (int size = left.Count; size > 0; size /= 2)
        {
            for (int from = 0; from < left.Count;)
            {
                List<int> without = left.GetRange(from, Math.Min(size, left.Count - from));
                Plan smaller = plan with { Omitted = plan.Omitted with { Occurrences = new HashSet<int>(plan.Omitted.Occurrences.Concat(without)) } };
                if (stillFails(smaller))
                {
                    plan = smaller;
                    left.RemoveRange(from, without.Count);
                }
                else
                {
                    from += size;
                }
            }
        }

        return plan;
    }

    private static Plan Keep(Plan plan, Plan smaller, Func<Plan, bool> stillFails) => stillFails(smaller) ? smaller : plan;
}
