namespace SpecMesh.Hypervisors.Process.Guest;

/// <summary>
/// Which page each step of a guest writes. Nine of ten steps go to the hot tenth of the pages, one to the rest, so that pre-copy converges at moderate
/// rates. Within each part the pages come in cycles, in an order drawn anew for each cycle from the seed; the last step that wrote a page is therefore
/// known in closed form, however long the guest has run. Page 0 holds the guest's state and is in no part.
/// </summary>
/// <param name="seed">Seed of the guest.</param>
/// <param name="pageCount">Pages of the guest, at least 16.</param>
internal sealed class WriteSchedule(ulong seed, long pageCount)
{
    private const int Group = 10;
    private const int HotPerGroup = Group - 1;

    private readonly long hotCount = (pageCount - 1) / Group;
    private readonly long tailCount = pageCount - 1 - ((pageCount - 1) / Group);
    private PageOrder hotOrder;
    private PageOrder tailOrder;

    /// <summary>The page that step <paramref name="step"/> writes; steps count from 1. For one caller at a time.</summary>
    public long PageOf(long step)
    {
        (long group, long place) = Math.DivRem(step - 1, Group);
        if (place < HotPerGroup)
        {
            (long cycle, long position) = Math.DivRem((group * HotPerGroup) + place, hotCount);
            hotOrder = hotOrder.Is(cycle, hotCount) ? hotOrder : HotOrder(cycle);
            return 1 + hotOrder.PageAt(position);
        }
        else
        {
            (long cycle, long position) = Math.DivRem(group, tailCount);
            tailOrder = tailOrder.Is(cycle, tailCount) ? tailOrder : TailOrder(cycle);
            return 1 + hotCount + tailOrder.PageAt(position);
        }
    }

    /// <summary>What was written last where, after <paramref name="steps"/> steps. Safe for concurrent use.</summary>
    public Func<long, long> LastStepOf(long steps)
    {
        long tailDone = steps / Group;
        Func<long, long> hot = LastWrite(steps - tailDone, hotCount, HotOrder);
        Func<long, long> tail = LastWrite(tailDone, tailCount, TailOrder);
        return page =>
        {
            if (page <= hotCount)
            {
                long write = hot(page - 1);
                return write < 0 ? 0 : (write / HotPerGroup * Group) + (write % HotPerGroup) + 1;
            }

            long tailWrite = tail(page - 1 - hotCount);
            return tailWrite < 0 ? 0 : (tailWrite * Group) + Group;
        };
    }

    private PageOrder HotOrder(long cycle) => PageOrder.Draw(Mix64.Of(seed, 1, (ulong)cycle), cycle, hotCount);

    private PageOrder TailOrder(long cycle) => PageOrder.Draw(Mix64.Of(seed, 2, (ulong)cycle), cycle, tailCount);

    /// <summary>Number of the last of <paramref name="done"/> writes that went to a page, or -1.</summary>
    private static Func<long, long> LastWrite(long done, long count, Func<long, PageOrder> order)
    {
        (long cycle, long position) = Math.DivRem(done, count);
        PageOrder now = order(cycle);
        PageOrder before = order(Math.Max(0, cycle - 1));
        return page =>
        {
            long place = now.PositionOf(page);
            if (place < position)
            {
                return (cycle * count) + place;
            }

            return cycle == 0 ? -1 : ((cycle - 1) * count) + before.PositionOf(page);
        };
    }
}

/// <summary>An order of <c>count</c> pages: position p holds page (factor·p + offset) mod count, with a factor that has no divisor in common with the count.</summary>
internal readonly record struct PageOrder(long Cycle, long Count, long Factor, long Inverse, long Offset)
{
    public static PageOrder Draw(ulong random, long cycle, long count)
    {
        if (count == 1)
        {
            return new PageOrder(cycle, 1, 0, 0, 0);
        }

        for (ulong attempt = 0; ; attempt++)
        {
            long factor = 1 + (long)(Mix64.Of(random, attempt) % (ulong)(count - 1));
            if (TryInvert(factor, count, out long inverse))
            {
                return new PageOrder(cycle, count, factor, inverse, (long)(Mix64.Of(random, ulong.MaxValue) % (ulong)count));
            }
        }
    }

    public bool Is(long cycle, long count) => Cycle == cycle && Count == count;

    public long PageAt(long position) => (long)(((((UInt128)Factor) * (ulong)position) + (ulong)Offset) % (ulong)Count);

    public long PositionOf(long page)
    {
        long distance = page >= Offset ? page - Offset : page - Offset + Count;
        return (long)((UInt128)Inverse * (ulong)distance % (ulong)Count);
    }

    /// <summary>Extended Euclid; false when the two have a divisor in common.</summary>
    private static bool TryInvert(long value, long modulus, out long inverse)
    {
        (long remainder, long next) = (modulus, value);
        (long coefficient, long nextCoefficient) = (0, 1);
        while (next != 0)
        {
            long quotient = remainder / next;
            (remainder, next) = (next, remainder - (quotient * next));
            (coefficient, nextCoefficient) = (nextCoefficient, coefficient - (quotient * nextCoefficient));
        }

        inverse = coefficient < 0 ? coefficient + modulus : coefficient;
        return remainder == 1;
    }
}

/// <summary>SplitMix64's finalizer as a hash of few words. Part of the format of guest memory: it must never change.</summary>
internal static class Mix64
{
    public const ulong Increment = 0x9E3779B97F4A7C15;

    public static ulong Of(ulong value)
    {
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }

    public static ulong Of(ulong a, ulong b) => Of(Of(a + Increment) + (b * 0xD6E8FEB86659FD93) + Increment);

    public static ulong Of(ulong a, ulong b, ulong c) => Of(Of(a, b), c);
}
