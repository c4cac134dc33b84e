using SpecMesh.Simulator.Bench.Models;
using SpecMesh.Simulator.Engine;

namespace SpecMesh.Simulator.Tests.Engine;

/// <summary>Whole simulations on the engine, against what theory says of them.</summary>
public sealed class ModelTests
{
    /// <summary>Near saturation waits mix slowly: twenty million customers are needed at 1024 servers, and even then a wait is known within 5 % only.</summary>
    [Theory]
    [InlineData(1, 0.7, 3_000_000)]
    [InlineData(8, 0.8, 3_000_000)]
    [InlineData(64, 0.9, 3_000_000)]
    [InlineData(1024, 0.99, 20_000_000)]
    public void customers_wait_as_erlang_says(int servers, double load, long customers)
    {
        MultiServerQueue queue = new(servers, load, seed: 1);
        queue.Run(customers / 20);
        queue.Run(customers);
        Assert.Equal(1, (double)queue.Waited / queue.Served / MultiServerQueue.ExpectedShareWaiting(servers, load), 0.05);
        Assert.Equal(1, queue.MeanWaitS / MultiServerQueue.ExpectedMeanWaitS(servers, load), 0.05);
    }

    [Fact]
    public void erlangs_formula_gives_known_values()
    {
        Assert.Equal(0.7, MultiServerQueue.ExpectedShareWaiting(1, 0.7), 1e-12);
        Assert.Equal(0.6556, MultiServerQueue.ExpectedShareWaiting(1024, 0.99), 1e-4);
        Assert.Equal(6.402, MultiServerQueue.ExpectedMeanWaitS(1024, 0.99), 1e-3);
    }

    [Fact]
    public void a_launch_takes_as_many_attempts_as_the_closed_form_says()
    {
        const long Number = 3_000_000;
        Launches launches = new(servers: 1024, seed: 1);
        launches.Run(Number);
        Assert.Equal(1.5495, Launches.ExpectedAttempts, 1e-4);
        Assert.Equal(1, launches.Attempts / (double)Number / Launches.ExpectedAttempts, 0.005);
    }

    [Fact]
    public void the_same_seed_gives_the_same_trace_and_another_seed_another()
    {
        RunSummary[] runs = [.. new ulong[] { 7, 7, 8 }.Select(seed => new Launches(1024, seed).Run(20_000))];
        Assert.Equal(runs[0], runs[1]);
        Assert.NotEqual(runs[0].TraceHash, runs[2].TraceHash);
        Assert.InRange(runs[0].Events, 60_000, 80_000);
    }

    /// <summary>The hash of this trace, on whatever machine: it was computed once, and must not depend on the processor, on the system or on the version of .NET.</summary>
    [Fact]
    public void the_trace_is_the_same_everywhere() => Assert.Equal(12786181918273091932UL, new Launches(1024, seed: 42).Run(5_000).TraceHash);

    [Fact]
    public void a_run_in_two_parts_is_the_run_in_one()
    {
        RunSummary whole = Ticks.Run(100, 100), parts = Ticks.Run(37, 100);
        Assert.Equal(whole, parts);
        Assert.Equal(100, whole.Events);
        Assert.NotEqual(whole.TraceHash, Ticks.Run(99, 99).TraceHash);
    }

    /// <summary>The queue may still grow when a new most of pending events is reached, which is ever more seldom.</summary>
    [Fact]
    public void a_run_allocates_nothing_for_an_event()
    {
        MultiServerQueue queue = new(1024, 0.9, seed: 3);
        queue.Run(500_000);
        long before = GC.GetAllocatedBytesForCurrentThread();
        long events = queue.Run(1_000_000).Events;
        Assert.InRange(events, 1_900_000, 2_100_000);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000);
    }

    /// <summary>One event each second until an end that may come in two steps.</summary>
    private readonly struct Ticks(EventQueue queue) : IEventHandler
    {
        public static RunSummary Run(int firstEndS, int endS)
        {
            EventQueue queue = new();
            queue.Push(0, 0, 0);
            Ticks ticks = new(queue);
            RunSummary first = RunLoop.Run(queue, ref ticks, firstEndS * SimTime.Second);
            return RunLoop.Run(queue, ref ticks, endS * SimTime.Second, first);
        }

        public void Handle(SimEvent happened) => queue.Push(happened.TimeNs + SimTime.Second, 0, 0);
    }
}
