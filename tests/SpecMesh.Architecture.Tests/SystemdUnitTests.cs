using System.Text.RegularExpressions;

namespace SpecMesh.Architecture.Tests;

/// <summary>The host agent's unit and its example of settings agree with the agent, with each other, and with what the runbook says.</summary>
public sealed partial class SystemdUnitTests
{
    private const string UnitFile = "infra/systemd/specmesh-host-agent.service";
    private const string Example = "infra/systemd/host-agent.env.example";
    private const string Runbook = "infra/runbooks/xen-host.md";
    private static readonly Dictionary<string, string> Settings = Pairs(Tree.Read(Example));
    private static readonly ILookup<string, string> Unit = Lines(Tree.Read(UnitFile)).ToLookup(pair => pair.Name, pair => pair.Value);

    [Fact]
    public void every_setting_of_the_example_is_one_that_the_agent_reads()
    {
        string[] known = [.. Names(AgentSetting(), "services/host-agent/SpecMesh.HostAgent/HostAgentOptions.cs"), .. Names(HostingSetting(), "services/hosting/SpecMesh.Hosting/SpecMeshOptions.cs")];
        Assert.Contains("HostId", known);
        Assert.Contains("Bus", known);
        Assert.Empty(Settings.Keys.Where(name => name.StartsWith("SpecMesh__", StringComparison.Ordinal)).Select(name => name["SpecMesh__".Length..]).Except(known));
    }

    [Fact]
    public void every_setting_that_the_agent_cannot_do_without_is_in_the_example()
    {
        string[] required = [.. Required().Matches(Tree.Read("services/host-agent/SpecMesh.HostAgent/HostAgentOptions.cs")).Select(match => match.Groups[1].Value)];
        Assert.Contains("MemoryBytes", required);
        Assert.Empty(required.Append("ReplicationPolicyUrl").Select(name => "SpecMesh__" + name).Except(Settings.Keys));
        Assert.True(Settings["SpecMesh__ClusterKey"].Length >= 16);
    }

    [Fact]
    public void the_unit_runs_the_agents_assembly_with_the_settings_and_the_state_that_the_files_speak_of()
    {
        ProjectFile agent = Tree.Projects.Single(project => project.Name == "SpecMesh.HostAgent");
        Assert.EndsWith($"/{agent.Name}.dll", Assert.Single(Unit["ExecStart"]), StringComparison.Ordinal);
        string settings = Assert.Single(Unit["EnvironmentFile"]);
        Assert.Contains(settings, Tree.Read(Example), StringComparison.Ordinal);
        Assert.Contains(settings, Tree.Read(Runbook), StringComparison.Ordinal);
        Assert.Equal("/var/lib/" + Assert.Single(Unit["StateDirectory"]), Settings["SpecMesh__StateDirectory"]);
        Assert.Equal("0700", Assert.Single(Unit["StateDirectoryMode"]));
    }

    /// <summary>A receiver must be able to take its own domain down, and an agent that has crashed must come back.</summary>
    [Fact]
    public void the_unit_ends_the_agent_and_not_its_children_and_starts_it_again()
    {
        Assert.Equal("process", Assert.Single(Unit["KillMode"]));
        Assert.Equal("always", Assert.Single(Unit["Restart"]));
        Assert.Equal("0", Assert.Single(Unit["StartLimitIntervalSec"]));
    }

    /// <summary>Each of these was tempting, and takes something away without which the agent cannot work.</summary>
    [Theory]
    [InlineData("PrivateDevices")]
    [InlineData("DeviceAllow")]
    [InlineData("ProtectClock")]
    [InlineData("MemoryDenyWriteExecute")]
    [InlineData("ProtectKernelTunables")]
    [InlineData("User")]
    public void the_unit_does_not_take_away_what_the_agent_needs(string directive) => Assert.Empty(Unit[directive]);

    [Fact]
    public void the_runbook_names_the_ports_of_the_example()
    {
        foreach (string name in new[] { "SpecMesh__DataEndpoint", "SpecMesh__ReplicationPolicyUrl", "SpecMesh__Bus", "ASPNETCORE_URLS" })
        {
            Assert.Contains(Port().Match(Settings[name]).Groups[1].Value, Tree.Read(Runbook), StringComparison.Ordinal);
        }
    }

    private static IEnumerable<string> Names(Regex setting, string file) => setting.Matches(Tree.Read(file)).Select(match => match.Groups[1].Value);

    private static Dictionary<string, string> Pairs(string text) => Lines(text).ToDictionary(pair => pair.Name, pair => pair.Value);

    private static IEnumerable<(string Name, string Value)> Lines(string text) =>
        text.Split('\n').Where(line => !line.StartsWith('#') && line.Contains('=')).Select(line => (line.Split('=', 2)[0], line.Split('=', 2)[1]));

    [GeneratedRegex("""section\["(\w+)"\]""")]
    private static partial Regex AgentSetting();

    [GeneratedRegex(@"public \w+\?? (\w+) \{ get; init; \}")]
    private static partial Regex HostingSetting();

    [GeneratedRegex("""public required \w+ (\w+) \{""")]
    private static partial Regex Required();

    [GeneratedRegex(@":(\d{2,5})(?:/|$)")]
    private static partial Regex Port();
}
