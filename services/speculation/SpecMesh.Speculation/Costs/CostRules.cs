using SpecMesh.Contracts;

namespace SpecMesh.Speculation.Costs;

/// <summary>Which limits make sense, and what holds where a workload names none.</summary>
public static class CostRules
{
    /// <summary>The longest time that may be asked for, in seconds.</summary>
    public const double MaxTimeoutSeconds = 86_400;

    /// <summary>Seconds that one replica of this machine may take when the workload names no limit: three times what a slow network needs, at least a minute.</summary>
    /// <remarks><c>facts: T = max(floor, 3·(setup + RAM/rate))</c> with a setup of 5 s and a rate of 64 MiB/s; a guest that is only built needs a quarter of that.</remarks>
    public static TimeSpan DefaultTimeout(OperationKind kind, long memoryBytes)
    {
        const double SetupSeconds = 5, BytesPerSecond = 64.0 * 1024 * 1024, FloorSeconds = 60;
        double copySeconds = memoryBytes / BytesPerSecond / (kind == OperationKind.PowerOn ? 4 : 1);
        return TimeSpan.FromSeconds(Math.Max(FloorSeconds, 3 * (SetupSeconds + copySeconds)));
    }

    /// <summary>The limits that hold for a machine: those of the workload, and a timeout in any case.</summary>
    public static CostLimits WithDefaults(CostLimits? limits, OperationKind kind, long memoryBytes)
    {
        CostLimits asked = limits ?? new CostLimits();
        return asked.TimeoutSeconds is null ? asked with { TimeoutSeconds = DefaultTimeout(kind, memoryBytes).TotalSeconds } : asked;
    }

    /// <summary>Seconds after which a replica that only builds a machine has cost too much: it sends nothing, so time and memory are all it costs.</summary>
    public static (double Seconds, string Code) BuildLimit(CostLimits limits, long memoryBytes)
    {
        double timeout = limits.TimeoutSeconds ?? MaxTimeoutSeconds;
        double memory = limits.MaxMemoryGibSeconds is { } most && memoryBytes > 0 ? most / (memoryBytes / (1024.0 * 1024 * 1024)) : double.PositiveInfinity;
        return memory < timeout ? (memory, "memory-seconds") : (timeout, "timeout");
    }

    /// <summary>The first field of the limits that makes no sense, and why; null when all do.</summary>
    public static (string Field, string Detail)? FirstError(CostLimits limits)
    {
        ArgumentNullException.ThrowIfNull(limits);
        if (limits.TimeoutSeconds is { } seconds && !(seconds > 0 && seconds <= MaxTimeoutSeconds))
        {
            return ("cost.timeoutSeconds", $"A replica's timeout is above 0 and at most {MaxTimeoutSeconds} seconds.");
        }

        return Positive("cost.maxBytes", limits.MaxBytes)
            ?? Positive("cost.maxCpuSeconds", limits.MaxCpuSeconds)
            ?? Positive("cost.maxMemoryGibSeconds", limits.MaxMemoryGibSeconds)
            ?? Positive("cost.maxOperationBytes", limits.MaxOperationBytes)
            ?? Positive("cost.maxOperationCpuSeconds", limits.MaxOperationCpuSeconds)
            ?? Positive("cost.maxOperationMemoryGibSeconds", limits.MaxOperationMemoryGibSeconds)
            ?? (limits.MinProgress is { } share && !(share is > 0 and < 1) ? ("cost.minProgress", "The least progress is a share of the siblings' median rate, above 0 and below 1.") : null);
    }

    private static (string Field, string Detail)? Positive(string field, double? limit) =>
        limit is { } value && !(value > 0 && double.IsFinite(value)) ? (field, "A limit is above 0; leave it out for none.") : null;
}
