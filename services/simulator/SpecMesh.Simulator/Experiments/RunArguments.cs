using System.Globalization;
using SpecMesh.Simulator.Workloads;

namespace SpecMesh.Simulator.Experiments;

/// <summary>What <c>run</c> was asked for.</summary>
/// <param name="Sweep">The runs.</param>
/// <param name="Folder">Where the files go.</param>
/// <param name="Threads">Runs at the same time.</param>
public sealed record RunArguments(Sweep Sweep, string Folder, int Threads)
{
    private const string Usage =
        "run --workload ci|capacity|upgrade --out DIR [--servers 1024] [--failed 0,0.1,0.3] [--policies naive,sq1,sq2,sq3,sq5,adaptive] [--seeds 5] [--first-seed 1] [--threads N] [--set name=value …]";

    /// <summary>Reads a command line. All errors are reported at once.</summary>
    /// <param name="arguments">What follows the verb.</param>
    /// <param name="errors">What is wrong; empty when nothing is.</param>
    /// <returns>Null when something is wrong.</returns>
    public static RunArguments? Read(IReadOnlyList<string> arguments, out IReadOnlyList<string> errors)
    {
        List<string> found = [];
        Dictionary<string, string> given = new(StringComparer.Ordinal) { ["--servers"] = "1024", ["--failed"] = "0,0.1,0.3", ["--policies"] = "naive,sq1,sq2,sq3,sq5,adaptive", ["--seeds"] = "5", ["--first-seed"] = "1", ["--threads"] = Environment.ProcessorCount.ToString(CultureInfo.InvariantCulture) };
        List<string> assignments = [];
        for (int i = 0; i < arguments.Count; i += 2)
        {
            string name = arguments[i];
            if (name is not ("--set" or "--workload" or "--out") && !given.ContainsKey(name))
            {
                found.Add($"There is no option '{name}'. Usage: {Usage}");
                break;
            }

            if (i + 1 == arguments.Count)
            {
                found.Add($"{name} has no value.");
                break;
            }

            if (name == "--set")
            {
                assignments.Add(arguments[i + 1]);
            }
            else
            {
                given[name] = arguments[i + 1];
            }
        }

        Parameters parameters = ParameterText.Read(assignments, out IReadOnlyList<string> wrong);
        found.AddRange(wrong);
        Workload workload = default;
        if (!given.TryGetValue("--workload", out string? workloadText) || !Enum.GetNames<Workload>().Contains(workloadText, StringComparer.OrdinalIgnoreCase))
        {
            found.Add($"--workload: '{workloadText}' is none of ci, capacity, upgrade.");
        }
        else
        {
            workload = Enum.Parse<Workload>(workloadText, ignoreCase: true);
        }

        if (workload == Workload.Ci && parameters.LimitsMigrations)
        {
            found.Add("--set: timeoutSeconds, maxBytesFactor, minProgress and slowShare are about migrations, and ci has none.");
        }

        if (!given.TryGetValue("--out", out string? folder))
        {
            found.Add("--out: a folder for the results is needed.");
        }

        int servers = Whole(given, "--servers", 64, 4_000_000, found);
        int seeds = Whole(given, "--seeds", 1, 10_000, found);
        int firstSeed = Whole(given, "--first-seed", 0, int.MaxValue - 10_000, found);
        int threads = Whole(given, "--threads", 1, 1024, found);
        IReadOnlyList<double> failed = Shares(given["--failed"], found);
        IReadOnlyList<PolicyChoice> policies = PoliciesOf(given["--policies"], found);
        errors = found;
        return found.Count > 0
            ? null
            : new(new Sweep(workload.ToString().ToLowerInvariant(), workload, servers, failed, policies, [.. Enumerable.Range(firstSeed, seeds).Select(seed => (ulong)seed)], parameters), folder!, threads);
    }

    private static int Whole(Dictionary<string, string> given, string name, int least, int most, List<string> errors)
    {
        if (!int.TryParse(given[name], NumberStyles.None, CultureInfo.InvariantCulture, out int value) || value < least || value > most)
        {
            errors.Add($"{name}: '{given[name]}' is not a whole number from {least} to {most}.");
        }

        return value;
    }

    private static List<double> Shares(string text, List<string> errors)
    {
        List<double> shares = [];
        foreach (string part in text.Split(','))
        {
            if (!double.TryParse(part, NumberStyles.Float, CultureInfo.InvariantCulture, out double share) || !(share >= 0 && share <= 0.9))
            {
                errors.Add($"--failed: '{part}' is not a share from 0 to 0.9.");
            }
            else
            {
                shares.Add(share);
            }
        }

        return [.. shares.Distinct()];
    }

    internal static List<PolicyChoice> PoliciesOf(string text, List<string> errors)
    {
        List<PolicyChoice> policies = [];
        foreach (string name in text.Split(',').Distinct(StringComparer.Ordinal))
        {
            if (PolicyChoice.Read(name) is { } policy)
            {
                policies.Add(policy);
            }
            else
            {
                errors.Add($"--policies: '{name}' is none of naive, sq1 to sq{Model.Race.MostReplicas}, hedged2 to hedged{Model.Race.MostReplicas}, adaptive.");
            }
        }

        return policies;
    }
}
