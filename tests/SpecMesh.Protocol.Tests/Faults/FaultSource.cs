using SpecMesh.Protocol.Tests.Engine;
using SpecMesh.Speculation;

namespace SpecMesh.Protocol.Tests.Faults;

/// <summary>What a run leaves out of the faults that its seed has in store: how a failing schedule is made smaller.</summary>
/// <param name="Kinds">Kinds that do not happen at all.</param>
/// <param name="Occurrences">Single faults that do not happen, by their number.</param>
internal sealed record Omitted(IReadOnlySet<Fault> Kinds, IReadOnlySet<int> Occurrences)
{
    public static Omitted Nothing { get; } = new(new HashSet<Fault>(), new HashSet<int>());
}

/// <summary>One fault that happened.</summary>
/// <param name="Number">Its number in the run.</param>
/// <param name="Kind">What it was.</param>
/// <param name="At">When.</param>
internal sealed record Occurrence(int Number, Fault Kind, TimeSpan At);

/// <summary>
/// Decides what goes wrong. Each seed has kinds of fault that happen often, seldom or not at all, so that some schedules are calm, some have one trouble and some have all;
/// in some, few kinds happen and often, with the loss of a host among them, because what is meant to save a machine is seldom reached through many other troubles.
/// Each kind has random numbers of its own: leaving one kind out leaves the others' as they are.
/// </summary>
internal sealed class FaultSource
{
    public static readonly int Kinds = Enum.GetValues<Fault>().Length;

    private static readonly double[] Shares = MakeShares();

    /// <summary>How often those kinds happen where only few do, against <see cref="Shares"/>.</summary>
    private const double FewShare = 0.2;

    private readonly Scheduler scheduler;
    private readonly Prng[] random = new Prng[Kinds];
    private readonly double[] rates = new double[Kinds];
    private readonly Omitted omitted;
    private int next;

    public FaultSource(Scheduler scheduler, Prng seed, Omitted omitted, IReadOnlyDictionary<Fault, double> focus)
    {
        this.scheduler = scheduler;
        this.omitted = omitted;
        bool calm = seed.NextInt(12) == 0;
        double share = seed.NextInt(3) switch { 0 => 0.15, 1 => 0.4, _ => 0.8 };
        double heat = Math.Exp(seed.Uniform(Math.Log(0.02), Math.Log(0.35)));
        HashSet<Fault> few = seed.NextInt(5) == 0 ? [Fault.HostLoss, .. Enumerable.Range(0, 1 + seed.NextInt(3)).Select(_ => (Fault)seed.NextInt(Kinds))] : [];
        End = TimeSpan.FromSeconds(seed.Uniform(4, 25));
        for (int kind = 0; kind < Kinds; kind++)
        {
            random[kind] = seed.Split();
            bool enabled = seed.NextDouble() < share;
            double rate = heat * Shares[kind] * seed.Uniform(0.3, 1.7);
            if (few.Count > 0)
            {
                (enabled, rate) = (few.Contains((Fault)kind), FewShare * Shares[kind]);
            }

            rates[kind] = enabled && !calm && !omitted.Kinds.Contains((Fault)kind) ? rate : 0;
            if (focus.Count > 0)
            {
                rates[kind] = focus.GetValueOrDefault((Fault)kind);
            }
        }
    }

    /// <summary>From then on nothing goes wrong any more.</summary>
    public TimeSpan End { get; }

    /// <summary>What happened.</summary>
    public List<Occurrence> Happened { get; } = [];

    /// <summary>Called for each fault that happens.</summary>
    public Action<Fault>? Observed { get; set; }

    /// <summary>How often this kind happens, from 0 to 1.</summary>
    public double RateOf(Fault kind) => rates[(int)kind];

    /// <summary>Random numbers of this kind.</summary>
    public Prng RandomOf(Fault kind) => random[(int)kind];

    /// <summary>True when this goes wrong now.</summary>
    public bool Strikes(Fault kind, double share = 1)
    {
        double rate = rates[(int)kind];
        return rate > 0 && scheduler.Now < End && random[(int)kind].NextDouble() < rate * share && Happens(kind);
    }

    /// <summary>A fault that was planned for this moment; false when it is left out.</summary>
    public bool Happens(Fault kind)
    {
        int number = next++;
        if (omitted.Occurrences.Contains(number))
        {
            return false;
        }

        Happened.Add(new Occurrence(number, kind, scheduler.Now));
        Observed?.Invoke(kind);
        return true;
    }

    /// <summary>How often a kind happens where most things happen as often as the seed's heat says.</summary>
    private static double[] MakeShares()
    {
        double[] shares = new double[Kinds];
        Array.Fill(shares, 1);
        foreach (Fault often in (Fault[])[Fault.MessageRepeated, Fault.MessageDelayed, Fault.CallLost, Fault.AnswerLost, Fault.RoundSlow])
        {
            shares[(int)often] = 1.5;
        }

        foreach (Fault seldom in (Fault[])
            [Fault.CrashBeforeCommit, Fault.CrashAfterCommit, Fault.CrashBeforePublish, Fault.CrashAfterPublish, Fault.CrashBeforeAck, Fault.AgentCrash, Fault.AgentStop, Fault.StreamBreak])
        {
            shares[(int)seldom] = 0.15;
        }

        shares[(int)Fault.GuestDeath] = 0.01;
        shares[(int)Fault.HostLoss] = 0.02;
        return shares;
    }
}
