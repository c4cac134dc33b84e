using System.Text;
using SpecMesh.ControlPlane.Bench.Load;

namespace SpecMesh.ControlPlane.Bench.Report;

/// <summary>The result as a person reads it.</summary>
internal static class Tables
{
    private const double CpuAim = 2.5;
    private const double RateAim = 50;
    private const double OwnershipAimMs = 15;

    public static string Of(BenchResult result)
    {
        StringBuilder text = new();
        text.AppendLine($"{result.Cores} cores, load before the run {result.LoadBefore:0.00}; {result.Durability}");
        text.AppendLine($"{result.Hosts} hosts, {result.Concurrency} operations under way at a time, guests of no memory");
        text.AppendLine("processes: rabbitmq, postgres, replication-policy, placement, failure-monitor, agents (all hosts in one), client (this one)");
        text.AppendLine();
        text.AppendLine("alone on the idle system, SQ=1            p50 ms    p99 ms   samples");
        Line(text, "pause (suspended to started)", result.Alone.Pause);
        Line(text, "of it ownership (vote to resumed)", result.Alone.Ownership);
        Line(text, "of it the append, as the target sees it", result.Alone.Append);
        Line(text, "request to completed", result.Alone.Completed);
        Line(text, "request to settled", result.Alone.Settled);
        foreach (SqResult load in result.Loads)
        {
            text.AppendLine().AppendLine($"SQ={load.Sq} under load: {load.OperationsPerSecond:0.0} operations/s ({load.Operations} in {load.Seconds:0.0} s, {load.Failed} failed)");
            AppendLoad(text, load);
        }

        text.AppendLine().AppendLine($"idle system: {1000 * result.IdleCpuPerSecond.Values.Sum():0} cpu ms/s ({Join(result.IdleCpuPerSecond.Select(pair => (pair.Key, 1000 * pair.Value)))})");
        AppendAims(text, result);
        return text.ToString();
    }

    private static void AppendLoad(StringBuilder text, SqResult load)
    {
        text.AppendLine("                                          p50 ms    p99 ms   samples");
        Line(text, "request to completed", load.Completed);
        Line(text, "request to settled", load.Settled);
        Line(text, "ownership (vote to resumed)", load.Ownership);
        OperationCost cost = load.Cost;
        text.AppendLine($"an operation costs {cost.Sent:0.0} messages sent, {cost.Delivered:0.0} delivered; {cost.Commits:0.0} commits ({cost.AppendCommits:0.0} append, {cost.OtherCommits:0.0} clear the outbox),");
        text.AppendLine($"  {cost.Events:0.0} events, {cost.OutboxRows:0.0} outbox rows; beside them {cost.ReadTransactions:0.0} reads, {cost.LostRaces:0.00} lost races, {cost.OwnershipCalls:0.0} ownership calls");
        text.AppendLine($"  {"message",-24} {"sent",6} {"delivered",10}");
        foreach ((string type, MessageCost message) in cost.Messages)
        {
            text.AppendLine($"  {type,-24} {message.Sent,6:0.00} {message.Durable + message.Temporary,10:0.00}");
        }

        text.AppendLine($"  {"",-28} {"cpu ms/op",10} {"ms/op",8}   by process");
        Row("SpecMesh", load.CpuMsPerOperation, 1000 / load.OperationsPerSecond, load.CpuMs.Select(pair => (pair.Key, pair.Value)));
        foreach ((string name, Raw.RawCost raw) in new[] { ("raw Npgsql", load.RawStore), ("raw RabbitMQ", load.RawBroker), ("raw, both at once", load.RawBoth) })
        {
            Row(name, raw.CpuMsPerOperation, raw.MsPerOperation, raw.CpuSeconds.Select(pair => (pair.Key, 1000 * pair.Value / raw.Operations)));
        }

        text.AppendLine($"  {"ratio to raw",-28} {load.CpuRatio,10:0.00} {load.TimeRatio,8:0.00}");

        void Row(string name, double cpu, double time, IEnumerable<(string, double)> parts) => text.AppendLine($"  {name,-28} {cpu,10:0.00} {time,8:0.00}   {Join(parts)}");
    }

    private static void AppendAims(StringBuilder text, BenchResult result)
    {
        text.AppendLine().AppendLine("aims");
        Aim($"ownership adds at most {OwnershipAimMs:0} ms p50 to the pause on an idle machine", result.Alone.Ownership.P50Ms, result.Alone.Ownership.P50Ms <= OwnershipAimMs);
        foreach (SqResult load in result.Loads)
        {
            Aim($"at most {CpuAim} x the raw cost in cpu, SQ={load.Sq}", load.CpuRatio, load.CpuRatio <= CpuAim);
        }

        foreach (SqResult load in result.Loads.Where(load => load.Sq == 3))
        {
            Aim($"at least {RateAim:0} operations/s at SQ=3 on two cores", load.OperationsPerSecond, load.OperationsPerSecond >= RateAim);
        }

        void Aim(string what, double value, bool met) => text.AppendLine($"  {(met ? "met    " : "not met")} {value,8:0.00}  {what}");
    }

    private static void Line(StringBuilder text, string name, Percentiles times) => text.AppendLine($"  {name,-38} {times.P50Ms,7:0.0} {times.P99Ms,9:0.0} {times.Samples,9}");

    private static string Join(IEnumerable<(string Name, double Value)> parts) => string.Join(", ", parts.Where(part => part.Value >= 0.05).Select(part => $"{part.Name} {part.Value:0.0}"));
}
