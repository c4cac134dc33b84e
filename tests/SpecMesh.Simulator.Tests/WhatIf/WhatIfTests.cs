using System.Globalization;
using SpecMesh.Simulator.WhatIf;
using SpecMesh.Simulator.Workloads;

namespace SpecMesh.Simulator.Tests.WhatIf;

public sealed class WhatIfTests
{
    private const string Good =
        """{"id":"a","kind":"Migrate","requestedAt":"2026-03-01T12:00:00Z","memoryBytes":100,"targets":[{"host":"h1","rack":"r1","startedAt":"2026-03-01T12:00:01Z","endedAt":"2026-03-01T12:00:03Z","outcome":"won"}]}""";

    private static string SampleFile => Path.Combine(AppContext.BaseDirectory, "WhatIf", "sample.jsonl");

    [Theory]
    [InlineData("\"id\":\"a\",", "", "line 2: id: is missing.")]
    [InlineData("\"id\":\"a\"", "\"id\":\"first\"", "line 2: id: 'first' was there before.")]
    [InlineData("\"Migrate\"", "\"Move\"", "line 2: kind: 'Move' is none of")]
    [InlineData("12:00:00Z", "noon", "line 2: requestedAt:")]
    [InlineData("\"memoryBytes\":100", "\"memoryBytes\":0", "line 2: memoryBytes:")]
    [InlineData("\"memoryBytes\":100", "\"memoryBytes\":100,\"memory\":1", "line 2: memory: there is no such field.")]
    [InlineData("\"memoryBytes\":100", "\"memoryBytes\":100,\"sourceRack\":\"r9\"", "line 2: sourceHost: is missing.")]
    [InlineData("\"host\":\"h1\"", "\"host\":7", "line 2: targets[0].host:")]
    [InlineData("\"rack\":\"r1\"", "\"rack\":\"r2\"", "line 2: targets[0].rack: 'h1' was in another rack before.")]
    [InlineData("\"startedAt\":\"2026-03-01T12:00:01Z\"", "\"startedAt\":\"2026-03-01T11:00:01Z\"", "line 2: targets[0].startedAt: is before requestedAt.")]
    [InlineData("12:00:03Z", "12:00:00Z", "line 2: targets[0].endedAt: is before startedAt.")]
    [InlineData("\"won\"", "\"lost\"", "line 2: targets[0].outcome: 'lost' is none of")]
    [InlineData("\"targets\":[", "\"targets\":[],\"x\":[", "line 2: x: there is no such field.")]
    [InlineData("\"targets\":", "\"targets\"", "line 2: is not JSON.")]
    public void a_bad_line_is_refused_with_its_number_and_field(string part, string instead, string error)
    {
        string first = Good.Replace("\"a\"", "\"first\"", StringComparison.Ordinal);
        Assert.Null(TraceReader.Read([first, Good.Replace(part, instead, StringComparison.Ordinal)], out IReadOnlyList<string> errors));
        Assert.StartsWith(error, Assert.Single(errors), StringComparison.Ordinal);
    }

    [Fact]
    public void an_empty_trace_and_one_without_a_winner_are_refused()
    {
        Assert.Null(TraceReader.Read(["", " "], out IReadOnlyList<string> empty));
        Assert.Equal("The trace is empty.", Assert.Single(empty));
        Assert.Null(TraceReader.Read([Good.Replace("won", "failed", StringComparison.Ordinal)], out IReadOnlyList<string> lost));
        Assert.Contains("No replica", Assert.Single(lost), StringComparison.Ordinal);
    }

    [Fact]
    public void what_was_seen_of_a_host_near_in_time_is_what_happens_there()
    {
        Trace trace = Sample();
        HostRecords records = new(trace, 900, seed: 1);
        int h1 = HostOf(trace, "h1"), h2 = HostOf(trace, "h2");
        records.AdvanceTo(trace.Operations[0].RequestedSeconds);
        Assert.Equal(new AssumedEnd(true, 2, Basis.SameOperation), records.EndOf(0, h1, trace.Operations[0].RequestedSeconds));
        // The machine of the second operation is twice as large, so the first one's would take half its 20 s.
        Assert.Equal(new AssumedEnd(false, 10, Basis.NearInTime), records.EndOf(0, h2, trace.Operations[0].RequestedSeconds));
        // An aborted replica says nothing of its host: a minute before, it failed.
        Assert.Equal(new AssumedEnd(true, 2, Basis.NearInTime), records.EndOf(1, h1, trace.Operations[1].RequestedSeconds));
        Assert.Equal(Basis.Estimate, records.EndOf(2, h2, trace.Operations[2].RequestedSeconds).Basis);
    }

    [Fact]
    public void a_host_that_nothing_is_known_of_fails_as_often_as_the_estimate_says()
    {
        Trace trace = Sample();
        int failed = 0;
        double estimate = 0;
        for (ulong seed = 0; seed < 4000; seed++)
        {
            HostRecords records = new(trace, 900, seed);
            records.AdvanceTo(trace.Operations[2].RequestedSeconds);
            int h2 = HostOf(trace, "h2");
            estimate = records.FailureProbability(h2);
            failed += records.EndOf(2, h2, trace.Operations[2].RequestedSeconds).Failed ? 1 : 0;
        }

        Assert.Equal(estimate, failed / 4000.0, 4 * Math.Sqrt(estimate * (1 - estimate) / 4000));
    }

    [Fact]
    public void estimates_know_nothing_of_what_comes_later()
    {
        Trace trace = Sample();
        HostRecords records = new(trace, 900, seed: 1);
        records.AdvanceTo(trace.Operations[0].RequestedSeconds);
        Assert.Equal(0.05, records.FailureProbability(HostOf(trace, "h1")), 1e-9);
        records.AdvanceTo(trace.Operations[1].RequestedSeconds);
        Assert.True(records.FailureProbability(HostOf(trace, "h1")) > 0.2);
    }

    [Fact]
    public void a_second_replica_and_a_hedge_save_the_operation_that_failed()
    {
        // Of the first two operations nothing is left to draw: their machines leave the only host that nothing was seen of.
        Trace whole = Sample();
        Trace both = whole with { Operations = [.. whole.Operations.Take(2)] };
        ReplayTotals naive = Replay.Run(both, PolicyChoice.Naive, 900, null, 1);
        // Four attempts on the failed host, one on the good one: 20 s and 1 s before its start.
        Assert.Equal((1, 5, 21.0), (naive.Successes, naive.Replicas, naive.DelaySeconds));
        Assert.Equal([5, 0, 0], naive.Bases);
        ReplayTotals two = Replay.Run(both, PolicyChoice.Read("sq2")!, 900, null, 1);
        // The first moves in 10 s to the host that took the second.
        Assert.Equal((2, 4, 11.0 + 21), (two.Successes, two.Replicas, two.DelaySeconds));
        ReplayTotals hedged = Replay.Run(both, PolicyChoice.Read("hedged2")!, 900, 30, 1);
        // Its second replica starts when the first has failed, after 2 s; that of the second operation never does.
        Assert.Equal((2, 3, 13.0 + 21), (hedged.Successes, hedged.Replicas, hedged.DelaySeconds));
    }

    [Fact]
    public void the_command_writes_the_same_rows_for_the_same_seeds()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("specmesh-what-if-");
        try
        {
            string[] texts = [.. Enumerable.Range(0, 2).Select(run =>
            {
                string to = Path.Combine(folder.FullName, run.ToString(CultureInfo.InvariantCulture));
                Assert.Equal(0, WhatIfCommand.Execute(["--trace", SampleFile, "--seeds", "5", "--out", to]));
                return File.ReadAllText(Path.Combine(to, "results.csv"));
            })];
            Assert.Equal(texts[0], texts[1]);
            string[][] rows = [.. texts[0].TrimEnd().Split('\n').Select(line => line.Split(','))];
            Assert.Equal(["policy", "metric", "mean", "ci95", "seeds"], rows[0]);
            Assert.Equal(["recorded", "naive", "sq2", "sq3", "hedged2", "adaptive"], rows.Skip(1).Select(row => row[0]).Distinct());
            foreach (IGrouping<string, string[]> policy in rows.Skip(1).GroupBy(row => row[0]))
            {
                double basis = policy.Where(row => row[1].StartsWith("rests_on", StringComparison.Ordinal)).Sum(row => double.Parse(row[2], CultureInfo.InvariantCulture));
                Assert.Equal(1, basis, 1e-6);
            }

            Assert.Equal(64, WhatIfCommand.Execute(["--trace", Path.Combine(folder.FullName, "none")]));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static Trace Sample()
    {
        Trace? trace = TraceReader.Read(File.ReadLines(SampleFile), out IReadOnlyList<string> errors);
        Assert.Empty(errors);
        return trace!;
    }

    private static int HostOf(Trace trace, string name) => trace.Hosts.ToList().IndexOf(name);
}
