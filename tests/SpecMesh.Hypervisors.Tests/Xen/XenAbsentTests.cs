using SpecMesh.Contracts;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Xen;
using SpecMesh.Hypervisors.Xen.Format;

namespace SpecMesh.Hypervisors.Tests.Xen;

/// <summary>What the driver says on a machine without Xen, and what of it needs none.</summary>
public sealed class XenAbsentTests
{
    [NoXenFact]
    public async Task a_machine_without_xen_is_refused_with_the_reason()
    {
        using XenHypervisor hypervisor = new(new XenHypervisorOptions("/etc/specmesh/machines"), TimeProvider.System);
        GuestSpec spec = new(new GuestTag("vm-1", null, null, 1), new VmDefinition(64 << 20));

        HypervisorException[] refusals =
        [
            await Assert.ThrowsAsync<HypervisorException>(() => hypervisor.ProbeAsync(CancellationToken.None)),
            await Assert.ThrowsAsync<HypervisorException>(() => hypervisor.BuildPausedAsync(spec, CancellationToken.None)),
            await Assert.ThrowsAsync<HypervisorException>(() => hypervisor.BuildShellAsync(spec, CancellationToken.None)),
            await Assert.ThrowsAsync<HypervisorException>(() => hypervisor.FindGuestsAsync(CancellationToken.None)),
            await Assert.ThrowsAsync<HypervisorException>(() => hypervisor.RestoreAsync("s", spec.Tag, CancellationToken.None)),
            await Assert.ThrowsAsync<HypervisorException>(() => hypervisor.CloneAsync("s", spec.Tag, CancellationToken.None)),
        ];
        Assert.All(refusals, refusal => Assert.Contains("control domain of a Xen host", refusal.Message, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("""{"b_info": {}}""")]
    [InlineData("""{"c_info": 7}""")]
    public void what_is_no_domains_configuration_is_refused(string json) =>
        Assert.Throws<HypervisorException>(() => LibxlConfiguration.Parse(System.Text.Encoding.UTF8.GetBytes(json)));

    [Fact]
    public void a_domains_configuration_is_passed_on_as_it_is_under_another_name()
    {
        const string printed = """[{"domid": 5, "config": {"c_info": {"type": "pvh", "name": "vm-1", "uuid": "00000000-0000-0000-0000-000000000001"}, "disks": [{"x": 1}]}}]""";

        LibxlConfiguration renamed = LibxlConfiguration.FromList(printed).WithName("vm-2");
        Assert.Equal(("vm-2", "pvh", Guid.Parse("00000000-0000-0000-0000-000000000001")), (renamed.Name, renamed.Type, renamed.Uuid));
        Assert.Equal("vm-2", LibxlConfiguration.Parse(renamed.ToBytes()).Name);
        Assert.Contains("\"disks\":[{\"x\":1}]", System.Text.Encoding.UTF8.GetString(renamed.ToBytes()), StringComparison.Ordinal);
        Assert.Throws<HypervisorException>(() => LibxlConfiguration.FromList("[]"));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void dirty_page_frames_become_dirty_pages(int seed)
    {
        Random random = new(seed);
        MemoryLayout layout = new(1000, [new PfnRun(0, 70), new PfnRun(100, 300), new PfnRun(640, 1), new PfnRun(990, 10)]);
        PageBitmap frames = new(layout.PfnCount);
        PageBitmap expected = new(layout.PageCount);
        for (long page = 0; page < layout.PageCount; page++)
        {
            if (random.Next(3) == 0)
            {
                frames.Set(layout.FramesAt(page, 1).FirstPfn);
                expected.Set(page);
            }
        }

        PageBitmap pages = new(layout.PageCount);
        Assert.Null(FrameBitmap.OrInto(pages, frames.Words, layout));
        Assert.True(expected.Words.SequenceEqual(pages.Words));

        frames.Set(80);
        Assert.Equal(80, FrameBitmap.OrInto(pages, frames.Words, layout));
        Assert.True(expected.Words.SequenceEqual(pages.Words));
    }
}

/// <summary>A test of what happens without Xen; on a Xen host there is nothing to see.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class NoXenFactAttribute : FactAttribute
{
    public NoXenFactAttribute() => Skip = Directory.Exists("/proc/xen") && File.Exists("/proc/xen/capabilities") ? "this machine is a Xen host" : null;
}
