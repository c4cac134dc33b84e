namespace SpecMesh.Speculation.Costs;

/// <summary>
/// Cost by rate of progress. Siblings are compared on acknowledged bytes, never on "remaining" alone, which is a saw-tooth: OpenStack had to remove a time-out that sampled it
/// (facts: protocol, section 3).
/// </summary>
internal static class ProgressPolicy
{
    /// <summary>Notes in each sibling for how long it has been late or slow.</summary>
    /// <remarks>
    /// Late is judged twice: on what is left and on the whole time from the replica's own start. On what is left alone, a healthy replica that joined late would be ended by every
    /// sibling that is about to finish, and a hedged start would buy nothing.
    /// </remarks>
    public static void Observe(double minProgress, ProgressOptions options, double dirtyBytesPerSecond, Span<Sibling> siblings)
    {
        Span<double> etas = stackalloc double[siblings.Length];
        double bestEta = double.PositiveInfinity, bestTotal = double.PositiveInfinity;
        for (int i = 0; i < siblings.Length; i++)
        {
            etas[i] = siblings[i].EtaSeconds(dirtyBytesPerSecond, options.PauseBudgetSeconds) ?? double.NaN;
            bestEta = Math.Min(bestEta, double.IsNaN(etas[i]) ? double.PositiveInfinity : etas[i]);
            bestTotal = Math.Min(bestTotal, double.IsNaN(etas[i]) ? double.PositiveInfinity : siblings[i].Now.ElapsedSeconds + etas[i]);
        }

        for (int i = 0; i < siblings.Length; i++)
        {
            ref Sibling sibling = ref siblings[i];
            bool isOfAge = sibling.Now.ElapsedSeconds >= options.GraceSeconds && !double.IsNaN(etas[i]);
            bool isWindow = sibling.Now.ElapsedSeconds - sibling.WindowCountedAtSeconds >= options.WindowSeconds;
            bool isLate = isOfAge && etas[i] > options.LateFactor * bestEta && sibling.Now.ElapsedSeconds + etas[i] > options.LateFactor * bestTotal;
            if (isWindow || !isLate)
            {
                sibling.CountWindow(isLate, (sibling.Now.ElapsedSeconds + etas[i]) / bestTotal);
            }

            sibling.NoteSlow(isOfAge && IsSlow(minProgress, siblings, i));
        }
    }

    /// <summary>What there is to say against one replica, after <see cref="Observe"/>.</summary>
    public static CostFinding? WhatObjectsTo(double minProgress, bool abortLast, ProgressOptions options, ReadOnlySpan<Sibling> siblings, int index)
    {
        Sibling sibling = siblings[index];
        if (sibling.LateWindows >= options.LateWindows)
        {
            return new CostFinding(sibling.Replica, "progress-late", "The replica is expected to end far later than its best sibling.", sibling.LateRatio, options.LateFactor);
        }

        if (sibling.SlowSinceSeconds is { } since && sibling.Now.ElapsedSeconds - since >= options.SlowSeconds)
        {
            double median = MedianRateOfOthers(siblings, index);
            double share = median > 0 ? (sibling.Now.AcknowledgedBytesPerSecond ?? 0) / median : 0;
            return new CostFinding(sibling.Replica, "progress-slow", "The replica's target acknowledges far more slowly than those of its siblings.", share, minProgress);
        }

        if (IsStalled(options, sibling) && (abortLast || AnyConverges(siblings, index)))
        {
            double sent = sibling.MemoryBytes > 0 ? (double)sibling.Now.BytesSent / sibling.MemoryBytes : double.NaN;
            return new CostFinding(sibling.Replica, "not-converging", "The guest dirties memory as fast as it is sent to this replica.", sent, options.StalledMemoryFactor);
        }

        return null;
    }

    private static bool IsStalled(ProgressOptions options, in Sibling sibling) =>
        sibling.StalledRounds >= options.StalledRounds && sibling.MemoryBytes > 0 && sibling.Now.BytesSent > options.StalledMemoryFactor * sibling.MemoryBytes;

    /// <summary>
    /// True when a sibling makes progress and is ahead: otherwise the guest itself is too fast for everybody, and ending one replica helps nobody. Both are asked for, because between
    /// equals chance decides whose last round was the better one.
    /// </summary>
    private static bool AnyConverges(ReadOnlySpan<Sibling> siblings, int index)
    {
        for (int i = 0; i < siblings.Length; i++)
        {
            if (i != index && siblings[i].StalledRounds == 0 && siblings[i].RemainingAfterRoundBytes < siblings[index].RemainingAfterRoundBytes / 2)
            {
                return true;
            }
        }

        return false;
    }

    private static bool IsSlow(double minProgress, ReadOnlySpan<Sibling> siblings, int index)
    {
        double median = MedianRateOfOthers(siblings, index);
        return median > 0 && siblings[index].Now is { RemainingBytes: > 0, AcknowledgedBytesPerSecond: { } rate } && rate < minProgress * median;
    }

    /// <summary>The median of the other siblings' rates; the lower of the two in the middle, in doubt for the accused. 0 when no rate is known.</summary>
    private static double MedianRateOfOthers(ReadOnlySpan<Sibling> siblings, int index)
    {
        Span<double> rates = stackalloc double[siblings.Length];
        int known = 0;
        for (int i = 0; i < siblings.Length; i++)
        {
            if (i != index && siblings[i].Now.AcknowledgedBytesPerSecond is { } rate)
            {
                rates[known++] = rate;
            }
        }

        rates[..known].Sort();
        return known == 0 ? 0 : rates[(known - 1) / 2];
    }
}
