using SpecMesh.Simulator.Engine;
using SpecMesh.Speculation;

namespace SpecMesh.Simulator.Tests.Engine;

/// <summary>The queue beside a heap that knows each event's full number, under delays of every shape that could lead a ladder astray.</summary>
public sealed class EventQueueTests
{
    private const int Operations = 400_000;

    /// <summary>Delays by name; each depends on random numbers and on the time alone.</summary>
    private static readonly Dictionary<string, Func<Prng, long, long>> Delays = new()
    {
        ["exponential"] = (random, _) => (long)(-1e9 * Math.Log(1 - random.NextDouble())),
        ["bimodal"] = (random, _) => random.NextInt(10) < 9 ? random.NextInt(100_000_000) : 9_100_000_000 + random.NextInt(1_000_000_000),
        ["pareto"] = (random, _) => (long)Math.Min(1e17, 1e6 * Math.Pow(1 - random.NextDouble(), -1 / 0.7)),
        ["few_times"] = (random, _) => random.NextInt(4),
        ["now"] = (random, _) => random.NextInt(20) == 0 ? random.NextInt(1_000_000) : 0,
        ["next_tick"] = (_, now) => 300_000_000_000 - (now % 300_000_000_000),
        ["tick_or_noise"] = (random, now) => random.NextInt(2) == 0 ? 60_000_000 - (now % 60_000_000) : random.NextInt(120_000_000),
        ["scales"] = (random, _) => 1L << random.NextInt(50),
        ["clusters"] = (random, now) => (random.NextInt(3) * 1_000_000_000_000L) + random.NextInt(30),
        ["one_delay"] = (_, _) => 5_000_000_000,
        ["never"] = (random, now) => Math.Min(random.NextInt(1_000_000), long.MaxValue - now) is var soon && random.NextInt(8) > 0 ? soon : Math.Max(0, long.MaxValue - random.NextInt(2) - now),
    };

    public static TheoryData<string> Shapes => [.. Delays.Keys];

    [Theory]
    [MemberData(nameof(Shapes))]
    public void events_leave_in_the_order_of_a_heap(string delays)
    {
        foreach (int size in (int[])[1, 30, 3_000, 60_000])
        {
            Hold(Delays[delays], size);
        }
    }

    private static void Hold(Func<Prng, long, long> delay, int size)
    {
        Prng random = new((ulong)size);
        Pair pair = new(firstSequence: uint.MaxValue - (Operations / 2));
        for (int i = 0; i < size; i++)
        {
            pair.Push(delay(random, 0));
        }

        for (int i = 0; i < Operations; i++)
        {
            long now = pair.Pop();
            pair.Push(delay(random, now));
        }

        pair.Drain();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void bursts_ebbs_and_mixed_delays_keep_the_order(ulong seed)
    {
        Prng random = new(seed);
        Func<Prng, long, long>[] shapes = [.. Delays.Where(shape => shape.Key != "never").Select(shape => shape.Value)];
        Pair pair = new(firstSequence: 0);
        for (int phase = 0; phase < 120; phase++)
        {
            Func<Prng, long, long> shape = shapes[random.NextInt(shapes.Length)];
            int limit = 1 << random.NextInt(15);
            int pushes = random.NextInt(limit), pops = random.NextInt(3) == 0 ? int.MaxValue : random.NextInt(limit);
            for (int i = 0; i < pushes; i++)
            {
                pair.Push(shape(random, pair.NowNs));
                if (random.NextInt(4) == 0)
                {
                    pair.Pop();
                }
            }

            for (int i = 0; i < pops && pair.Count > 0; i++)
            {
                pair.Pop();
            }
        }

        pair.Drain();
    }

    [Fact]
    public void events_before_a_time_are_all_popped_and_no_others()
    {
        Prng random = new(5);
        Pair pair = new(firstSequence: 0);
        for (int step = 1; step < 3_000; step++)
        {
            for (int i = random.NextInt(40); i > 0; i--)
            {
                pair.Push(random.NextInt(5) * random.NextInt(1_000));
            }

            pair.PopBefore(step * 500L);
        }

        pair.Drain();
    }

    [Fact]
    public void a_hundred_thousand_events_of_one_time_do_not_slow_down_what_comes_before_them()
    {
        EventQueue queue = new();
        for (uint i = 0; i < 100_000; i++)
        {
            queue.Push(1L << 40, 0, i);
        }

        // One event after another halves what is left; in a queue that has the 100,000 in order, each would move all of them.
        for (long time = 0; queue.TryPopBefore(1L << 40, out SimEvent next) || time == 0;)
        {
            time = next.TimeNs + Math.Max(1, ((1L << 40) - next.TimeNs) / 100_000);
            queue.Push(time, 1, 0);
            if (time >= 1L << 40)
            {
                break;
            }
        }

        for (uint i = 0; i < 100_000; i++)
        {
            Assert.True(queue.TryPop(out SimEvent next));
            Assert.Equal((1L << 40, i), (next.TimeNs, next.Entity));
        }
    }

    [Fact]
    public void nothing_is_allocated_once_the_queue_has_had_its_size()
    {
        foreach (int size in (int[])[100, 10_000, 100_000])
        {
            Prng random = new(1);
            EventQueue queue = new();
            for (int i = 0; i < size; i++)
            {
                queue.Push(random.NextInt(1_000_000_000), 0, 0);
            }

            Hold(queue, random, 20 * size);
            long before = GC.GetAllocatedBytesForCurrentThread();
            Hold(queue, random, 4 * size);
            Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        }
    }

    [Fact]
    public void an_event_is_what_was_pushed()
    {
        EventQueue queue = new(firstSequence: uint.MaxValue);
        Assert.Equal(uint.MaxValue, queue.Push(7, SimEvent.KindLimit - 1, SimEvent.EntityLimit - 1));
        Assert.Equal(0u, queue.Push(8, 0, 0));
        Assert.True(queue.TryPop(out SimEvent next));
        Assert.Equal((7L, uint.MaxValue, SimEvent.KindLimit - 1, SimEvent.EntityLimit - 1), (next.TimeNs, next.Sequence, next.Kind, next.Entity));
        Assert.Equal((7L, 1), (queue.NowNs, queue.Count));
    }

    [Fact]
    public void what_cannot_be_is_refused()
    {
        EventQueue queue = new();
        Assert.False(queue.TryPop(out _));
        queue.Push(10, 0, 0);
        queue.TryPop(out _);
        Assert.Throws<ArgumentOutOfRangeException>(() => queue.Push(9, 0, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => queue.Push(10, SimEvent.KindLimit, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => queue.Push(10, 0, SimEvent.EntityLimit));
        Assert.Equal(0, queue.Count);
    }

    private static void Hold(EventQueue queue, Prng random, int times)
    {
        for (int i = 0; i < times; i++)
        {
            queue.TryPop(out SimEvent next);
            queue.Push(next.TimeNs + random.NextInt(2_000_000_000), 0, 0);
        }
    }

    /// <summary>The queue and .NET's heap, whose events are numbered without end; whatever leaves one must leave the other.</summary>
    private sealed class Pair(uint firstSequence)
    {
        private readonly EventQueue queue = new(firstSequence);
        private readonly PriorityQueue<uint, (long TimeNs, long Number)> heap = new();
        private long number;

        public int Count => queue.Count;

        public long NowNs => queue.NowNs;

        public void Push(long delayNs)
        {
            uint entity = (uint)(number % SimEvent.EntityLimit);
            Assert.Equal(unchecked(firstSequence + (uint)number), queue.Push(queue.NowNs + delayNs, 0, entity));
            heap.Enqueue(entity, (queue.NowNs + delayNs, number++));
        }

        public long Pop()
        {
            Assert.True(queue.TryPop(out SimEvent next));
            Check(next);
            return next.TimeNs;
        }

        public void PopBefore(long endNs)
        {
            while (queue.TryPopBefore(endNs, out SimEvent next))
            {
                Check(next);
                Assert.True(next.TimeNs < endNs);
            }

            Assert.True(!heap.TryPeek(out _, out (long TimeNs, long Number) rest) || rest.TimeNs >= endNs);
        }

        public void Drain()
        {
            while (queue.TryPop(out SimEvent next))
            {
                Check(next);
            }

            Assert.Equal((0, 0), (queue.Count, heap.Count));
        }

        private void Check(in SimEvent next)
        {
            Assert.True(heap.TryDequeue(out uint entity, out (long TimeNs, long Number) expected));
            if ((expected.TimeNs, entity, unchecked(firstSequence + (uint)expected.Number)) != (next.TimeNs, next.Entity, next.Sequence) || queue.Count != heap.Count)
            {
                Assert.Fail($"expected event {expected.Number} at {expected.TimeNs}, came {next} of {queue.Count}");
            }
        }
    }
}
