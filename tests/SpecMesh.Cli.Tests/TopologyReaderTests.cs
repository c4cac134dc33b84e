using SpecMesh.Cli.Up;

namespace SpecMesh.Cli.Tests;

public sealed class TopologyReaderTests
{
    private const string Two = """
        name: two
        services:
        - name: store
          external: true
          bindings:
          - protocol: postgres
            port: 5432
        - name: front
          project: front/Front.csproj
          env:
          - SpecMesh__Store
          - name: BACK
            value: http://${service:back:host}:${service:back:port}
        - name: back
          executable: back
          args: --verbose
          readiness:
            http:
              path: /health/ready
          bindings:
          - protocol: http
          env:
          - MODE=quick
        """;

    [Fact]
    public void the_topology_of_the_tree_can_be_read()
    {
        Topology topology = TopologyReader.Read(Path.Combine(Repository.Root()!, "tye.yaml"));
        string[][] stages = [.. topology.Stages().Select(stage => stage.Select(service => service.Name).Order(StringComparer.Ordinal).ToArray())];
        Assert.Equal(["postgres", "rabbitmq"], stages[0]);
        Assert.Equal(["failure-monitor", "placement", "replication-policy"], stages[1]);
        Assert.Equal(["gateway", "host-1", "host-2", "host-3", "host-4", "host-5"], stages[2]);
        Assert.Equal(3, stages.Length);
    }

    [Fact]
    public void a_service_starts_after_those_that_it_refers_to()
    {
        string[] order = [.. Parse(Two).Stages().SelectMany(stage => stage).Select(service => service.Name)];
        Assert.Equal(["store", "back", "front"], order);
    }

    [Fact]
    public void a_variable_without_a_value_is_taken_over_and_one_with_an_equals_sign_is_not()
    {
        Topology topology = Parse(Two);
        Assert.Equal(new TopologyVariable("SpecMesh__Store", null), topology.Services[1].Environment[0]);
        Assert.Equal(new TopologyVariable("MODE", "quick"), topology.Services[2].Environment[0]);
    }

    [Theory]
    [InlineData("  executable: back", "  executable: back\n  image: back:1", 16, "'image'")]
    [InlineData("  - protocol: http", "  - protocol: smoke", 21, "'smoke'")]
    [InlineData("    port: 5432", "    port: 70000", 7, "'70000'")]
    [InlineData("name: two", "name: two\nregistry: here", 2, "'registry'")]
    [InlineData("      path: /health/ready", "      path: health", 19, "'health'")]
    public void what_cannot_be_acted_on_is_named_with_its_line(string old, string changed, int line, string named)
    {
        TopologyException error = Assert.Throws<TopologyException>(() => Parse(Two.Replace(old, changed, StringComparison.Ordinal)));
        Assert.Contains($"tye.yaml:{line}:", error.Message, StringComparison.Ordinal);
        Assert.Contains(named, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("  external: true", "  external: true\n  project: x.csproj", "exactly one")]
    [InlineData("- name: back", "- name: front", "'front'")]
    [InlineData("service:back:host", "service:nobody:host", "'nobody'")]
    [InlineData("- name: back", "- name: Back_End", "DNS label")]
    [InlineData("services:", "services: []\nmore:", "'more'")]
    public void a_topology_that_contradicts_itself_is_refused(string old, string changed, string said)
    {
        TopologyException error = Assert.Throws<TopologyException>(() => Parse(Two.Replace(old, changed, StringComparison.Ordinal)));
        Assert.Contains(said, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void a_circle_of_references_is_refused()
    {
        Topology circle = Parse(Two.Replace("MODE=quick", "MODE=${service:front:host}", StringComparison.Ordinal));
        Assert.Contains("circle", Assert.Throws<TopologyException>(circle.Stages).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("http://${service:back:host}:${service:back:port}/x", "http://127.0.0.1:7000/x")]
    [InlineData("${service:back:data:port}", "7001")]
    [InlineData("${env:STATE}/host-1", "/state/host-1")]
    [InlineData("plain $text {here}", "plain $text {here}")]
    public void tokens_become_what_they_stand_for(string text, string expected)
    {
        Assert.Equal(expected, TopologyTokens.Replace(text, (_, binding) => binding == "data" ? 7001 : 7000, name => name == "STATE" ? "/state" : null));
    }

    [Theory]
    [InlineData("${env:NOTHING}")]
    [InlineData("${host}")]
    [InlineData("${service:back}")]
    public void a_token_that_means_nothing_is_refused(string text) =>
        Assert.Throws<TopologyException>(() => TopologyTokens.Replace(text, (_, _) => 1, _ => null));

    private static Topology Parse(string text) => TopologyReader.Parse(text, "/anywhere/tye.yaml");
}
