using System.Diagnostics;
using System.Globalization;
using SpecMesh.Protocol.Tests.Checks;
using SpecMesh.Protocol.Tests.Faults;
using SpecMesh.Protocol.Tests.Mutations;

namespace SpecMesh.Protocol.Tests.Running;

/// <summary>
/// The command line: <c>--seeds N --from S</c> runs N schedules, <c>--seed S --trace</c> shows one; <c>--mutation NAME</c> breaks a rule, and
/// <c>--focus StreamBreak=0.03,HostLoss=0.002</c> lets only these faults happen, with these chances.
/// </summary>
internal static class Command
{
    public static int Run(string[] args)
    {
        ulong Value(string name, ulong otherwise)
        {
            int at = Array.IndexOf(args, name);
            return at >= 0 && at + 1 < args.Length ? ulong.Parse(args[at + 1], CultureInfo.InvariantCulture) : otherwise;
        }

        if (args.Contains("--mutations"))
        {
            foreach (Mutation mutation in Mutation.OfTheProtocol.Concat(Mutation.OfTheDataPath))
            {
                Campaign search = new(1, 10_000, Environment.ProcessorCount) { MostFailures = 1, PlanOf = mutation.PlanOf, Counts = violation => mutation.Rules.Contains(violation.Rule) };
                Stopwatch stopwatch = Stopwatch.StartNew();
                search.Run(_ => { });
                Console.WriteLine($"{mutation.Name}: {search.Coverage.Schedules} schedules, {stopwatch.Elapsed.TotalSeconds:F1} s: {search.Failures.Select(failure => $"seed {failure.Seed}: {failure.Violation.Message}").FirstOrDefault() ?? "NOT CAUGHT"}");
            }

            return 0;
        }

        int named = Array.IndexOf(args, "--mutation");
        Mutation? broken = named >= 0 ? Mutation.Find(args[named + 1]) : null;
        int focused = Array.IndexOf(args, "--focus");
        Dictionary<Fault, double> focus = focused < 0
            ? []
            : args[focused + 1].Split(',').Select(entry => entry.Split('=')).ToDictionary(pair => Enum.Parse<Fault>(pair[0]), pair => double.Parse(pair[1], CultureInfo.InvariantCulture));
        Plan PlanOf(ulong seed) => broken?.PlanOf(seed) ?? new Plan(seed) { Focus = focus };
        ulong single = Value("--seed", 0);
        if (single > 0)
        {
            Cluster cluster = Schedule.Run(PlanOf(single) with { Traced = args.Contains("--trace") });
            Console.WriteLine(cluster.Trace);
            Console.WriteLine(cluster.Violation?.Message ?? "no violation");
            Console.WriteLine($"{cluster.Scheduler.Steps} steps, {cluster.Scheduler.Now.TotalSeconds:F1} s simulated, {cluster.Faults.Happened.Count} faults until {cluster.Faults.End.TotalSeconds:F1} s");
            return cluster.Violation is null ? 0 : 1;
        }

        Stopwatch watch = Stopwatch.StartNew();
        Campaign campaign = new(Value("--from", 1), Value("--seeds", 10_000), (int)Value("--threads", (ulong)Environment.ProcessorCount)) { PlanOf = PlanOf };
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
