using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;
using SpecMesh.Hypervisors.Xen.Format;

namespace SpecMesh.Hypervisors.Tests.Xen;

/// <summary>What one host's driver tells another's: it arrives as it was, and rubbish is refused before anything is started or allocated for it.</summary>
public sealed class XenBlobTests
{
    private const long Memory = 80 << 20;
    private static readonly long PageCount = SyntheticDomain.Layout.PageCount;

    [Fact]
    public void a_setup_and_a_state_arrive_as_they_were()
    {
        (XenDomainSetup setup, MemoryLayout layout) = XenSetupFormat.Read(StandInHost.SetupBlob, PageCount);
        Assert.Equal(StandInHost.Setup.LibxlConfiguration.ToArray(), setup.LibxlConfiguration.ToArray());
        Assert.Equal(StandInHost.Setup.CpuidPolicy.ToArray(), setup.CpuidPolicy.ToArray());
        Assert.Equal(StandInHost.Setup.MsrPolicy.ToArray(), setup.MsrPolicy.ToArray());
        Assert.Equal((4, 17), (setup.XenMajor, setup.XenMinor));
        Assert.Equal(SyntheticDomain.Layout.PfnCount, layout.PfnCount);
        Assert.Equal(SyntheticDomain.Layout.Runs, layout.Runs);

        XenDomainState state = XenStateFormat.Read(StandInHost.StateBlob);
        Assert.Equal(SyntheticDomain.State.Tsc, state.Tsc);
        Assert.Equal(SyntheticDomain.State.HvmContext.ToArray(), state.HvmContext.ToArray());
        Assert.Equal(SyntheticDomain.State.HvmParams, state.HvmParams);
    }

    [Fact]
    public void a_blob_that_is_cut_or_longer_anywhere_is_refused()
    {
        byte[] setup = StandInHost.SetupBlob, state = StandInHost.StateBlob;
        for (int length = 0; length < setup.Length; length++)
        {
            Assert.Throws<HypervisorException>(() => XenSetupFormat.Read(setup.AsSpan(0, length), PageCount));
        }

        for (int length = 0; length < state.Length; length++)
        {
            Assert.Throws<HypervisorException>(() => XenStateFormat.Read(state.AsSpan(0, length)));
        }

        Assert.Throws<HypervisorException>(() => XenSetupFormat.Read([.. setup, 0], PageCount));
        Assert.Throws<HypervisorException>(() => XenStateFormat.Read([.. state, 0]));
        Assert.Throws<HypervisorException>(() => XenSetupFormat.Read(setup, PageCount + 1));
    }

    [Theory]
    [InlineData(8, 0)]
    [InlineData(12, -1)]
    [InlineData(16, 1)]
    [InlineData(20, 1)]
    [InlineData(24, int.MaxValue)]
    [InlineData(28, -1)]
    [InlineData(36, int.MinValue)]
    [InlineData(40, -1)]
    [InlineData(44, int.MaxValue)]
    [InlineData(48, 0)]
    public void a_number_that_does_not_fit_is_refused(int offset, int value)
    {
        byte[] setup = StandInHost.SetupBlob;
        BinaryPrimitives.WriteInt32LittleEndian(setup.AsSpan(offset), value);
        Assert.Throws<HypervisorException>(() => XenSetupFormat.Read(setup, PageCount));
    }

    [Fact]
    public void whatever_bytes_come_they_are_read_or_refused_and_nothing_large_is_allocated()
    {
        byte[] setup = StandInHost.SetupBlob, state = StandInHost.StateBlob;
        for (int seed = 0; seed < 3_000; seed++)
        {
            Random random = new(seed);
            byte[] bad = [.. seed % 2 == 0 ? setup : state];
            for (int i = random.Next(1, 6); i > 0; i--)
            {
                bad[random.Next(Math.Min(bad.Length, random.Next(2) == 0 ? 90 : bad.Length))] = (byte)random.Next(256);
            }

            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                _ = seed % 2 == 0 ? (object)XenSetupFormat.Read(bad, PageCount) : XenStateFormat.Read(bad);
            }
            catch (HypervisorException refusal)
            {
                Assert.Contains("of a Xen domain", refusal.Message, StringComparison.Ordinal);
            }

            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 64 * 1024, $"seed {seed}");
        }
    }

    [Theory]
    [InlineData("c_info.type", "\"hvm\"", "of type hvm")]
    [InlineData("c_info.type", "\"pv\"", "of type pv")]
    [InlineData("c_info.type", "7", "no domain's configuration")]
    [InlineData("c_info.name", "\"vm-2\"", "called vm-2")]
    [InlineData("c_info.name", "\"vm-1.\\u0000\"", "called")]
    [InlineData("c_info.name", "\"vm-11.6f9619ff.1\"", "called vm-11")]
    [InlineData("c_info.uuid", "\"no\"", "no domain's configuration")]
    [InlineData("c_info.uuid", "null", "no id")]
    [InlineData("b_info", "null", "no b_info")]
    [InlineData("b_info.max_memkb", "1048576", "may grow")]
    [InlineData("b_info.max_memkb", "-1", "may grow")]
    [InlineData("b_info.max_memkb", "\"much\"", "no domain's configuration")]
    [InlineData("b_info.device_model", "\"/tmp/qemu\"", "device_model")]
    [InlineData("b_info.bootloader", "\"pygrub\"", "bootloader")]
    [InlineData("pcidevs", "[{}]", "pcidevs")]
    [InlineData("dtdevs", "[{}]", "dtdevs")]
    [InlineData("p9s", "{}", "p9s")]
    [InlineData("anything", "1", "anything")]
    [InlineData("nics", "[{\"script\": \"/tmp/run\"}]", "script")]
    [InlineData("nics", "[{\"script\": \"/etc/xen/scripts/../../tmp/run\"}]", "script")]
    [InlineData("disks", "[{\"script\": \"../run\"}]", "script")]
    public void a_domain_that_this_host_would_not_build_is_refused(string path, string value, string reason)
    {
        JsonNode root = JsonNode.Parse(StandInHost.Configuration)!;
        string[] names = path.Split('.');
        (names.Length == 2 ? root[names[0]]! : root)[names[^1]] = JsonNode.Parse(value);
        LibxlConfiguration configuration = LibxlConfiguration.Parse(Encoding.UTF8.GetBytes(root.ToJsonString()));

        HypervisorException refusal = Assert.Throws<HypervisorException>(() => configuration.RequireAcceptable("vm-1", Memory));
        Assert.Contains(reason, refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("nics", "[{\"script\": \"/etc/xen/scripts/vif-bridge\", \"mac\": \"00:16:3e:00:00:01\"}]")]
    [InlineData("disks", "[{\"pdev_path\": \"/dev/vg/vm-1\", \"vdev\": \"xvda\"}]")]
    [InlineData("on_reboot", "\"restart\"")]
    [InlineData("pcidevs", "[]")]
    public void an_ordinary_domain_is_taken(string name, string value)
    {
        JsonNode root = JsonNode.Parse(StandInHost.Configuration)!;
        root[name] = JsonNode.Parse(value);
        root["c_info"]!["name"] = "vm-1.6f9619ff.1";
        LibxlConfiguration.Parse(Encoding.UTF8.GetBytes(root.ToJsonString())).RequireAcceptable("vm-1", Memory);
    }

    [Fact]
    public void a_name_that_stands_twice_is_refused() =>
        Assert.Throws<HypervisorException>(() => LibxlConfiguration.Parse("""{"c_info": {"type": "pvh", "type": "pv"}, "b_info": {}}"""u8));
}
