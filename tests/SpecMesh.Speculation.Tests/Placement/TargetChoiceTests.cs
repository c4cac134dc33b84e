using SpecMesh.Contracts;
using SpecMesh.Speculation.Placement;

namespace SpecMesh.Speculation.Tests.Placement;

/// <summary>Each policy beside a slow second implementation that tries every set of hosts.</summary>
public class TargetChoiceTests
{
    [Fact]
    public void the_names_are_those_of_the_contract() =>
        Assert.Equal(["failure-domains-apart", "least-loaded", "random"], TargetChoice.Names);

    [Fact]
    public void an_unknown_name_has_no_policy() => Assert.False(TargetChoice.TryGet("Random", out _));

    [Theory]
    [InlineData(TargetChoice.Random)]
    [InlineData(TargetChoice.LeastLoaded)]
    [InlineData(TargetChoice.FailureDomainsApart)]
    public void every_policy_picks_as_many_different_hosts_as_asked_and_depends_on_the_seed_alone(string name)
    {
        ForManyFleets(name, (fitting, count, chosen, again) =>
        {
            Assert.Equal(count, chosen.Distinct().Count());
            Assert.Equal(count, chosen.Count);
            Assert.Subset(fitting.ToHashSet(), chosen.ToHashSet());
            Assert.Equal(chosen, again);
        });
    }

    [Fact]
    public void least_loaded_picks_a_set_whose_load_no_other_set_beats() =>
        ForManyFleets(TargetChoice.LeastLoaded, (fitting, count, chosen, _) =>
            Assert.Equal(Sets(fitting, count).Min(set => set.Sum(host => host.Load)), chosen.Sum(host => host.Load), 9));

    [Fact]
    public void failure_domains_apart_picks_a_set_with_the_fewest_pairs_in_one_domain() =>
        ForManyFleets(TargetChoice.FailureDomainsApart, (fitting, count, chosen, _) =>
            Assert.Equal(Sets(fitting, count).Min(PairsInOneDomain), PairsInOneDomain(chosen)));

    [Fact]
    public void failure_domains_apart_picks_the_least_loaded_host_of_each_domain()
    {
        HostState[] fitting =
        [
            Loaded("a1", "rack-a", 50), Loaded("a2", "rack-a", 10), Loaded("b1", "rack-b", 90), Loaded("b2", "rack-b", 80),
        ];

        Assert.Equal(["a2", "b2"], Choose(TargetChoice.FailureDomainsApart, fitting, 2, 1).Select(host => host.HostId));
        Assert.Equal(["a2", "b2", "a1"], Choose(TargetChoice.FailureDomainsApart, fitting, 3, 1).Select(host => host.HostId));
    }

    [Theory]
    [InlineData(TargetChoice.Random)]
    [InlineData(TargetChoice.LeastLoaded)]
    public void every_set_of_equal_hosts_is_about_equally_likely(string name)
    {
        HostState[] fitting = [.. "abcde".Select(id => Given.Host(id.ToString()))];
        Dictionary<string, int> seen = [];
        for (int operation = 0; operation < 10_000; operation++)
        {
            string set = string.Concat(Choose(name, fitting, 2, Prng.SeedOf(Given.Operation(operation), 0)).Select(host => host.HostId).Order());
            seen[set] = seen.GetValueOrDefault(set) + 1;
        }

        Assert.Equal(10, seen.Count);
        Assert.All(seen.Values, count => Assert.InRange(count, 850, 1150));
    }

    private static void ForManyFleets(string name, Action<IReadOnlyList<HostState>, int, IReadOnlyList<HostState>, IReadOnlyList<HostState>> check)
    {
        for (ulong seed = 0; seed < 300; seed++)
        {
            Prng random = new(seed);
            HostState[] fitting = [.. Enumerable.Range(0, 1 + random.NextInt(8)).Select(i => Loaded($"h{i}", $"rack-{random.NextInt(4)}", random.NextInt(100)))];
            int count = random.NextInt(fitting.Length + 1);
            check(fitting, count, Choose(name, fitting, count, seed), Choose(name, fitting, count, seed));
        }
    }

    private static IReadOnlyList<HostState> Choose(string name, IReadOnlyList<HostState> fitting, int count, ulong seed)
    {
        Assert.True(TargetChoice.TryGet(name, out ChooseTargets? choose));
        return choose(fitting, count, new Prng(seed));
    }

    private static HostState Loaded(string hostId, string domain, long percent) =>
        Given.Host(hostId, domain, 100, new VmAllocated(hostId, "vm-a", percent));

    private static int PairsInOneDomain(IEnumerable<HostState> hosts) =>
        hosts.GroupBy(host => host.FailureDomain).Sum(domain => domain.Count() * (domain.Count() - 1) / 2);

    private static IEnumerable<List<HostState>> Sets(IReadOnlyList<HostState> hosts, int count) =>
        Enumerable.Range(0, 1 << hosts.Count)
            .Where(bits => int.PopCount(bits) == count)
            .Select(bits => hosts.Where((_, i) => (bits & (1 << i)) != 0).ToList());
}
