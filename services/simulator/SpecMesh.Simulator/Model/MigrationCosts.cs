using SpecMesh.Contracts;
using SpecMesh.Simulator.Engine;
using SpecMesh.Speculation.Costs;

namespace SpecMesh.Simulator.Model;

/// <summary>What a migration may cost; what is 0 is not limited.</summary>
/// <param name="TimeoutSeconds">Longest time of a replica.</param>
/// <param name="MaxBytesFactor">Most that a replica sends, in times its memory.</param>
/// <param name="MinProgress">Lowest share of the siblings' median rate.</param>
/// <param name="AbortLast">Whether the last replica that works may be ended too.</param>
public sealed record MigrationLimits(double TimeoutSeconds, double MaxBytesFactor, double MinProgress, bool AbortLast = false)
{
    /// <summary>Whether nothing is limited, so that nothing has to be judged.</summary>
    public bool IsNone => TimeoutSeconds == 0 && MaxBytesFactor == 0 && MinProgress == 0;
}

/// <summary>Judges the replicas of each operation every second, by the production's <see cref="CostPolicies"/>. Limits and memories are kept, so that no judgement allocates.</summary>
public sealed class MigrationCosts
{
    private static readonly long PeriodNs = SimTime.FromSeconds(1);

    private readonly EventQueue queue;
    private readonly Race race;
    private readonly MigrationLimits limits;
    private readonly Dictionary<long, CostLimits> limitsOf = [];
    private readonly CostFinding[] found = new CostFinding[Race.MostReplicas];
    private readonly Dictionary<string, long> abortsBy = new(StringComparer.Ordinal);
    private Sibling[] siblings = new Sibling[1024];
    private PlannedCheck[] checks = new PlannedCheck[256];

    /// <param name="queue">The events to come.</param>
    /// <param name="race">Whose replicas they are.</param>
    /// <param name="limits">What they may cost.</param>
    public MigrationCosts(EventQueue queue, Race race, MigrationLimits limits)
    {
        this.queue = queue;
        this.race = race;
        this.limits = limits;
        Array.Fill(checks, PlannedCheck.None);
    }

    /// <summary>Replicas that a policy has ended, by the code of the policy.</summary>
    public IReadOnlyDictionary<string, long> AbortsBy => abortsBy;

    /// <summary>A replica begins; from now on its operation is judged.</summary>
    public void Begin(int replica, int operation, double memoryBytes)
    {
        while (replica >= siblings.Length)
        {
            Array.Resize(ref siblings, siblings.Length * 2);
        }

        while (operation >= checks.Length)
        {
            int before = checks.Length;
            Array.Resize(ref checks, before * 2);
            Array.Fill(checks, PlannedCheck.None, before, before);
        }

        siblings[replica] = new Sibling(replica, (long)memoryBytes);
        // Replicas that begin together, and those of a hedge, are judged at the seconds of the first one: one event per operation and second.
        if (checks[operation].OperationStartNs != race.OperationAt(operation).StartNs)
        {
            Plan(operation);
        }
    }

    /// <summary>A round has left this much.</summary>
    public void EndRound(int replica, double pendingBytes) => siblings[replica].EndRound((long)pendingBytes, ProgressOptions.Default);

    /// <summary>A second has passed.</summary>
    public void Check(in SimEvent happened, Migrations migrations)
    {
        int operation = (int)happened.Entity;
        if (!race.OperationAt(operation).IsOpen || race.OperationAt(operation).Owner >= 0 || checks[operation].Event != happened.Sequence)
        {
            return;
        }

        Span<Sibling> live = stackalloc Sibling[Race.MostReplicas];
        int count = 0;
        double sentBytes = race.OperationAt(operation).SentBytes;
        for (int replica = race.OperationAt(operation).FirstReplica; replica >= 0; replica = race.ReplicaAt(replica).NextOfOperation)
        {
            if (race.ReplicaAt(replica).Phase == ReplicaPhase.Working)
            {
                siblings[replica].Now = migrations.StandingOf(replica);
                sentBytes += siblings[replica].Now.BytesSent;
                live[count++] = siblings[replica];
            }
        }

        if (count == 0)
        {
            checks[operation] = PlannedCheck.None;
            return;
        }

        OperationCost cost = new((long)sentBytes, DirtyBytesPerSecond: migrations.DirtyBytesPerSecond(live[0].Replica));
        int objections = CostPolicies.Judge(LimitsOf(live[0].MemoryBytes), ProgressOptions.Default, cost, live[..count], found);
        for (int i = 0; i < count; i++)
        {
            siblings[live[i].Replica] = live[i];
        }

        Plan(operation);
        for (int i = 0; i < objections; i++)
        {
            abortsBy[found[i].Code] = abortsBy.GetValueOrDefault(found[i].Code) + 1;
            race.OperationAt(operation).CostAborts++;
            race.Abort(found[i].Replica);
        }
    }

    private void Plan(int operation) =>
        checks[operation] = new PlannedCheck(queue.Push(queue.NowNs + PeriodNs, EventKind.CostCheck, (uint)operation), race.OperationAt(operation).StartNs);

    private CostLimits LimitsOf(long memoryBytes)
    {
        if (!limitsOf.TryGetValue(memoryBytes, out CostLimits? of))
        {
            limitsOf[memoryBytes] = of = new CostLimits(
                limits.TimeoutSeconds > 0 ? limits.TimeoutSeconds : null,
                limits.MaxBytesFactor > 0 ? (long)(limits.MaxBytesFactor * memoryBytes) : null,
                MinProgress: limits.MinProgress > 0 ? limits.MinProgress : null,
                AbortLast: limits.AbortLast ? true : null);
        }

        return of;
    }

    /// <summary>The next judgement of an operation. Places of operations are used again, so it says which one it was planned for.</summary>
    private readonly record struct PlannedCheck(uint Event, long OperationStartNs)
    {
        public static PlannedCheck None { get; } = new(0, -1);
    }
}
