using System.Collections.Frozen;
using System.Diagnostics.CodeAnalysis;

namespace SpecMesh.Speculation.Placement;

/// <summary>Picks hosts among those that fit.</summary>
/// <param name="fitting">Hosts that may be chosen, ordered by id.</param>
/// <param name="count">How many to pick, from 0 to the number of fitting hosts.</param>
/// <param name="random">The only source of chance.</param>
/// <returns>As many different hosts, the preferred one first.</returns>
public delegate IReadOnlyList<HostState> ChooseTargets(IReadOnlyList<HostState> fitting, int count, Prng random);

/// <summary>The policies that pick hosts, by name.</summary>
public static class TargetChoice
{
    /// <summary>Every set of hosts is equally likely: the choice of the evaluation's closed forms.</summary>
    public const string Random = "random";

    /// <summary>The hosts with the smallest share of memory taken; chance decides between equals.</summary>
    public const string LeastLoaded = "least-loaded";

    /// <summary>As few hosts per failure domain as possible, so that one fault ends as few replicas as possible; the least loaded host of each domain.</summary>
    public const string FailureDomainsApart = "failure-domains-apart";

    private static readonly FrozenDictionary<string, ChooseTargets> Policies = new Dictionary<string, ChooseTargets>(StringComparer.Ordinal)
    {
        [Random] = ChooseAny,
        [LeastLoaded] = ChooseLeastLoaded,
        [FailureDomainsApart] = ChooseApart,
    }.ToFrozenDictionary(StringComparer.Ordinal);

    /// <summary>Every name that can be asked for, in alphabetical order.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. Policies.Keys.Order(StringComparer.Ordinal)];

    /// <summary>The policy of that name; false when there is none.</summary>
    public static bool TryGet(string name, [NotNullWhen(true)] out ChooseTargets? policy) => Policies.TryGetValue(name, out policy);

    private static List<HostState> ChooseAny(IReadOnlyList<HostState> fitting, int count, Prng random) =>
        [.. random.Shuffle(fitting).Take(count)];

    private static List<HostState> ChooseLeastLoaded(IReadOnlyList<HostState> fitting, int count, Prng random) =>
        [.. random.Shuffle(fitting).OrderBy(host => host.Load).Take(count)];

    private static List<HostState> ChooseApart(IReadOnlyList<HostState> fitting, int count, Prng random)
    {
        // The sorts are stable, so that the shuffle still decides between equals.
        return
        [
            .. random.Shuffle(fitting)
                .GroupBy(host => host.FailureDomain, StringComparer.Ordinal)
                .SelectMany(domain => domain.OrderBy(host => host.Load).Select((host, rank) => (Host: host, Rank: rank)))
                .OrderBy(ranked => ranked.Rank)
                .ThenBy(ranked => ranked.Host.Load)
                .Take(count)
                .Select(ranked => ranked.Host),
        ];
    }
}
