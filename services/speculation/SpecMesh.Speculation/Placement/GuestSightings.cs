using System.Collections.Immutable;
using SpecMesh.Contracts;

namespace SpecMesh.Speculation.Placement;

/// <summary>
/// What the beats of one agent process have said, one after the other, against the recorded allocations: machines that are allocated and not there, and machines that run and
/// are not allocated. Kept in memory only: after a restart counting begins anew.
/// </summary>
/// <param name="Sequence">Number of the last beat that was counted; 0 before the first.</param>
/// <param name="At">When that was, by the host's clock.</param>
/// <param name="Beats">For each machine that differs: in how many counted beats in a row it did.</param>
public sealed record GuestSightings(long Sequence, DateTimeOffset At, ImmutableSortedDictionary<string, int> Beats)
{
    /// <summary>How many beats in a row have to say the same before it is believed: many times what a message between two services takes.</summary>
    public const int Patience = 10;

    /// <summary>A beat that is older than this says how things were, not how they are: it waited in a queue. A host whose clock is behind by more is left alone.</summary>
    public static readonly TimeSpan Fresh = TimeSpan.FromSeconds(30);

    /// <summary>Nothing was heard.</summary>
    public static GuestSightings None { get; } = new(0, DateTimeOffset.MinValue, ImmutableSortedDictionary.Create<string, int>(StringComparer.Ordinal));

    /// <summary>Machines to decide about now. Where the decision changes nothing, counting begins anew with the next beat.</summary>
    public IEnumerable<string> Due => Beats.Where(pair => pair.Value >= Patience).Select(pair => pair.Key);

    /// <summary>One more beat. Beats that come twice, late or old are passed over; one with a lower number and a later time is a new agent's, which counts from the beginning.</summary>
    /// <param name="host">The host as it is recorded.</param>
    /// <param name="beat">Its agent's beat.</param>
    /// <param name="now">Present time.</param>
    public GuestSightings Hear(HostState host, HostHeartbeat beat, DateTimeOffset now)
    {
        bool isNewAgent = beat.Sequence <= Sequence && beat.At > At;
        if ((beat.Sequence <= Sequence && !isNewAgent) || now - beat.At > Fresh)
        {
            return this;
        }

        ImmutableSortedDictionary<string, int> before = isNewAgent ? None.Beats : Beats.RemoveRange(Due);
        ImmutableHashSet<string> there = [.. beat.Guests.Where(IsThere).Select(guest => guest.VmId)];
        IEnumerable<string> missing = host.Allocations.Keys.Where(vmId => !there.Contains(vmId));
        IEnumerable<string> unexpected = beat.Guests.Where(IsRunning).Select(guest => guest.VmId).Distinct(StringComparer.Ordinal).Where(vmId => !host.Allocations.ContainsKey(vmId));
        return new GuestSightings(
            beat.Sequence, beat.At, missing.Concat(unexpected).ToImmutableSortedDictionary(vmId => vmId, vmId => before.GetValueOrDefault(vmId) + 1, StringComparer.Ordinal));
    }

    /// <summary>Something happened to the machine, so what was heard of it before says nothing any more.</summary>
    public GuestSightings Forget(string vmId) => this with { Beats = Beats.Remove(vmId) };

    /// <summary>True for a guest that holds memory. An agent goes on listing a guest whose process has ended, with no memory.</summary>
    internal static bool IsThere(HostedGuest guest) => guest.MemoryBytes > 0;

    /// <summary>True for a guest that runs: shells of replicas, which do not, are covered by their reservations.</summary>
    internal static bool IsRunning(HostedGuest guest) => IsThere(guest) && guest.State == GuestState.Running;
}
