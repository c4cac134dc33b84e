using SpecMesh.Contracts;
using SpecMesh.Simulator.Engine;
using SpecMesh.Speculation.Replication;

namespace SpecMesh.Simulator.WhatIf;

/// <summary>What an assumed end of a replica rests on.</summary>
public enum Basis
{
    /// <summary>This very operation was tried on this host.</summary>
    SameOperation,

    /// <summary>Another operation on this host, near in time.</summary>
    NearInTime,

    /// <summary>Nothing was seen of the host near in time: drawn from the estimate of the failure rates.</summary>
    Estimate,
}

/// <summary>How a replica on a host would have ended.</summary>
/// <param name="Failed">Whether it would have failed.</param>
/// <param name="Seconds">How long it would have taken.</param>
/// <param name="Basis">Why that is assumed.</param>
public readonly record struct AssumedEnd(bool Failed, double Seconds, Basis Basis);

/// <summary>
/// How replicas would have ended on hosts, from how recorded ones did. Aborted replicas say nothing, as in production. Draws are by the numbers of operation and host, so every policy
/// meets the same ends.
/// </summary>
public sealed class HostRecords
{
    private const uint FailurePurpose = 41, DurationPurpose = 43;

    private readonly Trace trace;
    private readonly double nearSeconds;
    private readonly RandomStream failures, durations;
    private readonly List<(double AtSeconds, int Operation, RecordedReplica Replica)>[] ofHost;
    private readonly (double AtSeconds, RecordedReplica Replica)[] inTime;
    private readonly (RecordedOperation Operation, RecordedReplica Replica)[][] winnersOf;
    private readonly (RecordedOperation Operation, RecordedReplica Replica)[] failed;
    private readonly FailureRates rates;
    private readonly double?[] normalSeconds = new double?[Enum.GetValues<OperationKind>().Length];
    private int learned;

    /// <param name="trace">What was recorded.</param>
    /// <param name="nearSeconds">An outcome further away in time says nothing certain about a host.</param>
    /// <param name="seed">Seed of the draws.</param>
    public HostRecords(Trace trace, double nearSeconds, ulong seed)
    {
        this.trace = trace;
        this.nearSeconds = nearSeconds;
        failures = new(seed, FailurePurpose);
        durations = new(seed, DurationPurpose);
        var all = trace.Operations.SelectMany((operation, number) => operation.Replicas.Where(replica => replica.Outcome != RecordedOutcome.Aborted).Select(replica => (number, operation, replica))).ToArray();
        ofHost = [.. trace.Hosts.Select(_ => new List<(double, int, RecordedReplica)>())];
        foreach ((int number, RecordedOperation _, RecordedReplica replica) in all)
        {
            ofHost[replica.Host].Add((replica.StartSeconds, number, replica));
        }

        foreach (List<(double AtSeconds, int Operation, RecordedReplica Replica)> seen in ofHost)
        {
            seen.Sort((one, other) => one.AtSeconds.CompareTo(other.AtSeconds));
        }

        // The estimate learns an outcome when it is known, and not when its replica starts.
        inTime = [.. all.Select(one => (one.replica.EndSeconds, one.replica)).OrderBy(one => one.EndSeconds)];
        (RecordedOperation Operation, RecordedReplica Replica)[] winners = [.. all.Where(one => one.replica.Outcome == RecordedOutcome.Won).Select(one => (one.operation, one.replica))];
        winnersOf = [.. Enum.GetValues<OperationKind>().Select(kind => winners.Any(one => one.Operation.Kind == kind) ? winners.Where(one => one.Operation.Kind == kind).ToArray() : winners)];
        failed = [.. all.Where(one => one.replica.Outcome == RecordedOutcome.Failed).Select(one => (one.operation, one.replica))];
        rates = new FailureRates([.. trace.RackOf], EstimationOptions.Default);
    }

    /// <summary>Learns what had ended by the time of a request; times never go back.</summary>
    public void AdvanceTo(double seconds)
    {
        double first = trace.Operations[0].RequestedSeconds;
        for (; learned < inTime.Length && inTime[learned].AtSeconds <= seconds; learned++)
        {
            rates.AdvanceTo(inTime[learned].AtSeconds - first);
            rates.Observe(inTime[learned].Replica.Host, inTime[learned].Replica.Outcome == RecordedOutcome.Failed ? Evidence.Failed : Evidence.Succeeded);
        }

        rates.AdvanceTo(seconds - first);
    }

    /// <summary>Probability that a replica fails on a host, as the system knew it at the time of the request.</summary>
    public double FailureProbability(int host) => rates.Of(host);

    /// <summary>How a replica of an operation would have ended on a host, when it starts there at a time.</summary>
    public AssumedEnd EndOf(int operation, int host, double startSeconds)
    {
        RecordedReplica? own = trace.Operations[operation].Replicas
            .Where(replica => replica.Host == host && replica.Outcome != RecordedOutcome.Aborted)
            .MinBy(replica => Math.Abs(replica.StartSeconds - startSeconds));
        if (own is not null)
        {
            return new(own.Outcome == RecordedOutcome.Failed, own.Seconds, Basis.SameOperation);
        }

        if (Nearest(ofHost[host], startSeconds) is { } seen && Math.Abs(seen.AtSeconds - startSeconds) <= nearSeconds)
        {
            bool isFailed = seen.Replica.Outcome == RecordedOutcome.Failed;
            return new(isFailed, isFailed ? seen.Replica.Seconds : Scaled(trace.Operations[seen.Operation], seen.Replica, trace.Operations[operation], operation, host), Basis.NearInTime);
        }

        bool fails = failures.Uniform((uint)operation, (uint)host) < FailureProbability(host);
        return new(fails, fails ? FailedSeconds(operation, host) : DrawnSeconds(trace.Operations[operation], operation, host), Basis.Estimate);
    }

    /// <summary>Three quarters of the recorded winners of a kind took no longer: after that time a hedge starts.</summary>
    public double NormalSeconds(OperationKind kind)
    {
        if (normalSeconds[(int)kind] is not { } normal)
        {
            double[] seconds = [.. WinnersOf(kind).Select(one => one.Replica.Seconds).Order()];
            normalSeconds[(int)kind] = normal = seconds[(seconds.Length - 1) * 3 / 4];
        }

        return normal;
    }

    private static (double AtSeconds, int Operation, RecordedReplica Replica)? Nearest(List<(double AtSeconds, int Operation, RecordedReplica Replica)> inTime, double atSeconds)
    {
        int low = 0, high = inTime.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            (low, high) = inTime[middle].AtSeconds < atSeconds ? (middle + 1, high) : (low, middle);
        }

        return inTime.Count == 0 ? null
            : low == inTime.Count || (low > 0 && atSeconds - inTime[low - 1].AtSeconds <= inTime[low].AtSeconds - atSeconds) ? inTime[low - 1]
            : inTime[low];
    }

    /// <summary>A migration takes as long as its memory is large; what was seen of another kind says nothing about the time of this one.</summary>
    private double Scaled(RecordedOperation seenOf, RecordedReplica seen, RecordedOperation asked, int operation, int host) =>
        seenOf.Kind != asked.Kind ? DrawnSeconds(asked, operation, host)
        : asked.Kind == OperationKind.Migrate ? seen.Seconds * asked.MemoryBytes / seenOf.MemoryBytes
        : seen.Seconds;

    private double DrawnSeconds(RecordedOperation asked, int operation, int host)
    {
        var among = WinnersOf(asked.Kind);
        (RecordedOperation of, RecordedReplica drawn) = among[durations.Below(among.Length, (uint)operation, (uint)host)];
        return asked.Kind == OperationKind.Migrate ? drawn.Seconds * asked.MemoryBytes / of.MemoryBytes : drawn.Seconds;
    }

    private double FailedSeconds(int operation, int host) => failed.Length == 0 ? 0 : failed[durations.Below(failed.Length, (uint)operation, (uint)host)].Replica.Seconds;

    /// <summary>Those of the kind; of any kind when it has none.</summary>
    private (RecordedOperation Operation, RecordedReplica Replica)[] WinnersOf(OperationKind kind) => winnersOf[(int)kind];
}
