using Microsoft.Extensions.Configuration;
using SpecMesh.HostAgent;

namespace SpecMesh.Services.Tests.HostAgent;

public sealed class HostAgentOptionsTests
{
    private static readonly Dictionary<string, string?> Least = new()
    {
        ["SpecMesh:HostId"] = "host-1",
        ["SpecMesh:ClusterKey"] = "0123456789abcdef",
        ["SpecMesh:StateDirectory"] = "/var/lib/specmesh",
        ["SpecMesh:MemoryBytes"] = "1073741824",
        ["SpecMesh:ReplicationPolicyUrl"] = "http://127.0.0.1:5102",
    };

    [Fact]
    public void guests_are_processes_unless_the_configuration_says_xen()
    {
        Assert.Equal(HypervisorChoice.Process, Read().Hypervisor);
        string configurations = AppContext.BaseDirectory;
        HostAgentOptions xen = Read(("Hypervisor", "xen"), ("XenConfigurations", configurations), ("PauseBudget", "00:00:01"), ("VoteLimit", "00:00:15"));
        Assert.Equal((HypervisorChoice.Xen, configurations), (xen.Hypervisor, xen.XenConfigurations));
        Assert.Equal((TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(15)), (xen.Limits.StopRule.PauseBudget, xen.Limits.VoteLimit));
    }

    [Theory]
    [InlineData("Hypervisor", "kvm", "SpecMesh:Hypervisor")]
    [InlineData("Hypervisor", "7", "SpecMesh:Hypervisor")]
    [InlineData("XenConfigurations", "/etc/specmesh", "is for SpecMesh:Hypervisor=xen only")]
    [InlineData("PauseBudget", "50", "SpecMesh:PauseBudget")]
    [InlineData("PauseLimit", "00:00:00", "SpecMesh:PauseLimit")]
    public void what_makes_no_sense_is_refused(string name, string value, string said) =>
        Assert.Contains(said, Assert.Throws<InvalidOperationException>(() => Read((name, value))).Message, StringComparison.Ordinal);

    [Fact]
    public void a_xen_agent_needs_its_machines_and_takes_no_tracker_and_says_all_of_it_at_once()
    {
        string message = Assert.Throws<InvalidOperationException>(() => Read(("Hypervisor", "Xen"), ("DirtyTracker", "SoftDirty"), ("HostId", "no host"))).Message;
        Assert.Contains("SpecMesh:XenConfigurations must be a directory that exists", message, StringComparison.Ordinal);
        Assert.Contains("SpecMesh:DirtyTracker is not for Xen", message, StringComparison.Ordinal);
        Assert.Contains("SpecMesh:HostId", message, StringComparison.Ordinal);
    }

    private static HostAgentOptions Read(params (string Name, string Value)[] settings)
    {
        Dictionary<string, string?> all = new(Least);
        foreach ((string name, string value) in settings)
        {
            all["SpecMesh:" + name] = value;
        }

        return HostAgentOptions.Read(new ConfigurationBuilder().AddInMemoryCollection(all).Build());
    }
}
