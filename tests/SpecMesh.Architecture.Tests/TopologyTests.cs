using System.Text.RegularExpressions;

namespace SpecMesh.Architecture.Tests;

/// <summary><c>tye.yaml</c> names projects of this tree, and each service of it.</summary>
public sealed partial class TopologyTests
{
    [Fact]
    public void a_project_of_the_topology_lies_where_its_service_does()
    {
        Assert.All(Services(), service =>
        {
            string name = Path.GetFileNameWithoutExtension(service.Project);
            string folder = service.Name.StartsWith("host-", StringComparison.Ordinal) ? "host-agent" : service.Name;
            Assert.Equal($"services/{folder}/{name}/{name}.csproj", service.Project);
            // A service that is still to come has no folder; one that has a folder has its project where the topology says.
            Assert.True(!Directory.Exists(Path.Combine(Tree.Root, "services", folder, name)) || File.Exists(Path.Combine(Tree.Root, service.Project)), service.Project);
        });
    }

    [Fact]
    public void every_service_that_is_a_program_is_in_the_topology()
    {
        string[] listed = [.. Services().Select(service => service.Project)];
        string[] programs = [.. Tree.Projects.Where(project => !project.IsTest && project.Xml.Root?.Attribute("Sdk")?.Value == "Microsoft.NET.Sdk.Web").Select(project => Tree.Relative(project.Path))];
        Assert.Empty(programs.Except(listed));
    }

    [Fact]
    public void there_are_five_hosts_in_at_least_three_failure_domains()
    {
        string text = Tree.Read("tye.yaml");
        Assert.Equal(5, Services().Count(service => service.Name.StartsWith("host-", StringComparison.Ordinal)));
        Assert.True(Domain().Matches(text).Select(match => match.Groups[1].Value).Distinct().Count() >= 3);
    }

    [Fact]
    public void the_gateway_s_secret_is_given_to_the_gateway_and_the_services_behind_it_and_to_no_agent()
    {
        IEnumerable<string> blocks = Tree.Read("tye.yaml").Split("\n- name: ").Where(block => block.Contains("\n  - SpecMesh__GatewayKey\n", StringComparison.Ordinal));
        Assert.Equal(["gateway", "placement", "replication-policy"], blocks.Select(block => block[..block.IndexOf('\n', StringComparison.Ordinal)]).Order(StringComparer.Ordinal));
    }

    private static IReadOnlyList<(string Name, string Project)> Services() =>
        [.. Service().Matches(Tree.Read("tye.yaml")).Select(match => (match.Groups[1].Value, match.Groups[2].Value))];

    [GeneratedRegex(@"^- name: (\S+)\n  project: (\S+)$", RegexOptions.Multiline)]
    private static partial Regex Service();

    [GeneratedRegex(@"SpecMesh__FailureDomain\n    value: (\S+)")]
    private static partial Regex Domain();
}
