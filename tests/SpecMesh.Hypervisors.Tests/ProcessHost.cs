using System.Diagnostics;
using SpecMesh.Contracts;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Process;

namespace SpecMesh.Hypervisors.Tests;

/// <summary>A host whose guests are processes.</summary>
public sealed class ProcessHost(DirtyTrackerChoice tracker) : HostUnderTest
{
    public const long PageCount = 1024;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    public string RecordFile => Assert.Single(Directory.GetFiles(Path.Combine(Folder, "guests"), "*.json"));

    protected override TimeSpan Patience => Limit;

    protected override TimeSpan LookInterval => TimeSpan.FromMilliseconds(1);

    protected override long ProgressPerStep => 1;

    public override IHypervisor Hypervisor() => new ProcessHypervisor(new ProcessHypervisorOptions(Folder, tracker));

    public override GuestSpec Spec(double pagesPerSecond = 20_000, long pageCount = PageCount) =>
        new(new GuestTag(VmId, null, null, 1), new VmDefinition(pageCount * IGuestMemory.PageBytes, pagesPerSecond, Seed: 42));

    public override Task<GuestVerification> VerifyAsync(IGuest guest) => guest.VerifyAsync(CancellationToken.None);

    public override int Times(int often) => often;

    public override async Task KillAsync(IGuest guest)
    {
        System.Diagnostics.Process.GetProcessById(Processes().Single()).Kill();
        await WaitForExitAsync(guest);
    }

    public override IReadOnlyList<(GuestSpec Spec, string Reason)> Unbuildable()
    {
        GuestSpec good = Spec();
        return
        [
            (good with { Vm = good.Vm with { MemoryBytes = 1L << 50 } }, "does not fit"),
            (good with { Vm = good.Vm with { WritePagesPerSecond = double.NaN } }, "cannot write"),
            (good with { Vm = good.Vm with { WritePagesPerSecond = -1 } }, "cannot write"),
        ];
    }

    /// <summary>Processes, records, and memory mapped into this process.</summary>
    public override IReadOnlyList<string> Remains() =>
    [
        .. Processes().Select(pid => $"process {pid}"),
        .. Directory.Exists(Path.Combine(Folder, "guests")) ? Directory.GetFiles(Path.Combine(Folder, "guests")) : [],
        .. File.ReadLines("/proc/self/maps").Where(line => line.Contains(VmId, StringComparison.Ordinal)),
    ];

    public IEnumerable<int> Processes()
    {
        foreach (string entry in Directory.GetDirectories("/proc").Where(d => int.TryParse(Path.GetFileName(d), out _)))
        {
            string command;
            try
            {
                command = File.ReadAllText(entry + "/cmdline");
            }
            catch (IOException)
            {
                // It ended while the list was read.
                continue;
            }

            if (command.Contains("\0guest\0" + VmId, StringComparison.Ordinal))
            {
                yield return int.Parse(Path.GetFileName(entry), null);
            }
        }
    }

    public static async Task<string?> ReadLineAsync(System.Diagnostics.Process process) => await process.StandardOutput.ReadLineAsync().WaitAsync(Limit);

    public static ProcessStartInfo Dotnet(string assembly, IEnumerable<string> arguments)
    {
        ProcessStartInfo info = new(Environment.ProcessPath!) { RedirectStandardInput = true, RedirectStandardOutput = true };
        info.Environment["DOTNET_EnableDiagnostics"] = "0";
        info.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, assembly));
        foreach (string argument in arguments)
        {
            info.ArgumentList.Add(argument);
        }

        return info;
    }

    protected override Task BegunAsync(IGuest guest) => Task.CompletedTask;

    protected override async Task EndRemainsAsync()
    {
        foreach (int pid in Processes())
        {
            System.Diagnostics.Process process = System.Diagnostics.Process.GetProcessById(pid);
            process.Kill();
            await process.WaitForExitAsync();
        }
    }
}
