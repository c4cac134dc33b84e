using System.Globalization;
using System.Text;
using SpecMesh.Simulator.Experiments;
using SpecMesh.Simulator.Workloads;

namespace SpecMesh.Simulator.WhatIf;

/// <summary><c>what-if</c>: what recorded operations of a live system would have come to under other policies.</summary>
public static class WhatIfCommand
{
    private const string Usage =
        "what-if --trace FILE [--policies naive,sq2,sq3,hedged2,adaptive] [--seeds 20] [--near-seconds 900] [--hedge-seconds S] [--out what-if]";

    /// <summary>Replays, prints a table and writes <c>results.csv</c>.</summary>
    /// <returns>The exit status: 0, or 64 when the command line or the trace is wrong.</returns>
    public static int Execute(IReadOnlyList<string> arguments)
    {
        List<string> errors = [];
        Dictionary<string, string> given = Options(arguments, errors);
        double near = Seconds(given, "--near-seconds", errors) ?? 0;
        double? hedge = Seconds(given, "--hedge-seconds", errors);
        List<PolicyChoice> policies = RunArguments.PoliciesOf(given["--policies"], errors);
        if (!int.TryParse(given["--seeds"], NumberStyles.None, CultureInfo.InvariantCulture, out int seeds) || seeds is < 1 or > 10_000)
        {
            errors.Add($"--seeds: '{given["--seeds"]}' is not a whole number from 1 to 10000.");
        }

        Trace? trace = errors.Count == 0 ? ReadTrace(given, errors) : null;
        if (trace is null)
        {
            errors.ForEach(Console.Error.WriteLine);
            return 64;
        }

        List<WhatIfRow> rows = [WhatIfRow.Recorded(trace)];
        foreach (PolicyChoice policy in policies)
        {
            ReplayTotals[] totals = [.. Enumerable.Range(1, seeds).Select(seed => Replay.Run(trace, policy, near, hedge, (ulong)seed))];
            rows.Add(WhatIfRow.Of(trace, policy.Name, totals));
        }

        Directory.CreateDirectory(given["--out"]);
        File.WriteAllText(Path.Combine(given["--out"], "results.csv"), Csv(rows));
        Console.Out.Write(Table(trace, rows));
        return 0;
    }

    private static Dictionary<string, string> Options(IReadOnlyList<string> arguments, List<string> errors)
    {
        Dictionary<string, string> given = new(StringComparer.Ordinal) { ["--policies"] = "naive,sq2,sq3,hedged2,adaptive", ["--seeds"] = "20", ["--near-seconds"] = "900", ["--out"] = "what-if" };
        for (int i = 0; i < arguments.Count; i += 2)
        {
            if (arguments[i] is not ("--trace" or "--hedge-seconds") && !given.ContainsKey(arguments[i]))
            {
                errors.Add($"There is no option '{arguments[i]}'. Usage: {Usage}");
                break;
            }

            if (i + 1 == arguments.Count)
            {
                errors.Add($"{arguments[i]} has no value.");
                break;
            }

            given[arguments[i]] = arguments[i + 1];
        }

        return given;
    }

    private static double? Seconds(Dictionary<string, string> given, string name, List<string> errors)
    {
        if (!given.TryGetValue(name, out string? text))
        {
            return null;
        }

        if (!double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double seconds) || !(seconds >= 0 && seconds <= 1e9))
        {
            errors.Add($"{name}: '{text}' is not a number of seconds from 0 to 1e9.");
        }

        return seconds;
    }

    private static Trace? ReadTrace(Dictionary<string, string> given, List<string> errors)
    {
        if (!given.TryGetValue("--trace", out string? file) || !File.Exists(file))
        {
            errors.Add(file is null ? $"--trace: a file is needed. Usage: {Usage}" : $"--trace: there is no file '{file}'.");
            return null;
        }

        Trace? trace = TraceReader.Read(File.ReadLines(file), out IReadOnlyList<string> wrong);
        errors.AddRange(wrong.Select(error => $"{file}: {error}"));
        return trace;
    }

    private static string Csv(IEnumerable<WhatIfRow> rows)
    {
        StringBuilder text = new("policy,metric,mean,ci95,seeds\n");
        foreach (WhatIfRow row in rows)
        {
            foreach ((string metric, Estimate value) in row.Values)
            {
                text.Append(CultureInfo.InvariantCulture, $"{row.Policy},{metric},{value.Mean:G8},{value.Ci95:G8},{value.Seeds}\n");
            }
        }

        return text.ToString();
    }

    private static string Table(Trace trace, IEnumerable<WhatIfRow> rows)
    {
        StringBuilder text = new();
        text.Append(CultureInfo.InvariantCulture, $"{trace.Operations.Count} operations on {trace.Hosts.Count} hosts; 'rests on' is the share of the replicas' ends, in percent\n\n");
        text.Append("policy      success  replicas/op   delay s   rests on: same operation  same host, near in time  estimate\n");
        foreach (WhatIfRow row in rows)
        {
            text.Append(CultureInfo.InvariantCulture, $"{row.Policy,-10} {Number(row, WhatIfRow.Success, 1, 4),8} {Number(row, WhatIfRow.Replicas, 1, 2),12} {Number(row, WhatIfRow.Delay, 1, 2),9} ");
            text.Append(CultureInfo.InvariantCulture, $"{Number(row, WhatIfRow.SameOperation, 100, 1),26} {Number(row, WhatIfRow.NearInTime, 100, 1),24} {Number(row, WhatIfRow.Estimated, 100, 1),9}\n");
        }

        text.Append("\nEnds of recorded replicas are facts; those of the same host near in time are likely; estimates are what the failure rates say. Intervals in results.csv cover the draws only.\n");
        return text.ToString();
    }

    private static string Number(WhatIfRow row, string metric, double factor, int digits) =>
        row.Values.TryGetValue(metric, out Estimate value) ? (value.Mean * factor).ToString("F" + digits.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture) : "-";
}
