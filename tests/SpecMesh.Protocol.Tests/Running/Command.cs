using System.Diagnostics;
using System.Globalization;
using SpecMesh.Protocol.Tests.Checks;

namespace SpecMesh.Protocol.Tests.Running;

/// <summary>The command line: <c>--seeds N --from S</c> runs N schedules, <c>--seed S --trace</c> shows one.</summary>
internal static class Command
{
    public static int Run(string[] args)
    {
        ulong Value(string name, ulong otherwise)
        {
            int at = Array.IndexOf(args, name);
            return at >= 0 && at + 1 < args.Length ? ulong.Parse(args[at + 1], CultureInfo.InvariantCulture) : otherwise;
        }

        ulong single = Value("--seed", 0);
        if (single > 0)
        {
            Cluster cluster = Schedule.Run(new Plan(single) { Traced = args.Contains("--trace") });
            Console.WriteLine(cluster.Trace);
            Console.WriteLine(cluster.Violation?.Message ?? "no violation");
            Console.WriteLine($"{cluster.Scheduler.Steps} steps, {cluster.Scheduler.Now.TotalSeconds:F1} s simulated, {cluster.Faults.Happened.Count} faults until {cluster.Faults.End.TotalSeconds:F1} s");
            return cluster.Violation is null ? 0 : 1;
        }

        Stopwatch watch = Stopwatch.StartNew();
        Campaign campaign = new(Value("--from", 1), Value("--seeds", 10_000), (int)Value("--threads", (ulong)Environment.ProcessorCount));
        campaign.Run(done => Console.WriteLine($"{done} schedules, {done / watch.Elapsed.TotalSeconds:F0}/s"));
        Console.WriteLine(campaign.Coverage);
        Console.WriteLine($"{campaign.Coverage.Schedules} schedules in {watch.Elapsed.TotalSeconds:F1} s, {campaign.Coverage.Schedules / watch.Elapsed.TotalSeconds:F1}/s, {campaign.Failures.Count} violations");
        foreach ((ulong seed, InvariantException violation) in campaign.Failures.OrderBy(failure => failure.Seed).Take(20))
        {
            Console.WriteLine($"seed {seed}: {violation.Message}");
        }

        return campaign.Failures.IsEmpty ? 0 : 1;
    }
}
