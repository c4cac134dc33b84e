using System.Diagnostics;
using System.Text.Json;
using SpecMesh.Contracts;

namespace SpecMesh.Integration.Tests;

/// <summary>A guest's process dies on the real system.</summary>
[Collection(RunningSystemCollection.Name)]
public sealed class GuestDeathTests(RunningSystemFixture system)
{
    private static readonly TimeSpan Bound = TimeSpan.FromMinutes(2);

    [ServersFact]
    public async Task the_memory_of_a_guest_that_died_is_free_again_and_its_neighbour_s_is_not()
    {
        string vm = Operations.NewVm(), neighbour = Operations.NewVm();
        OperationView start = await system.Gateway.PowerOnAsync(vm);
        await system.Gateway.PowerOnAsync(neighbour, targets: [start.WinnerHostId!]);
        IReadOnlyList<object> allocated = await UntilAsync(start.WinnerHostId!, events => events.OfType<VmAllocated>().Count(e => e.VmId == vm || e.VmId == neighbour) == 2);
        Assert.DoesNotContain(allocated, e => e is VmDeallocated gone && gone.VmId == vm);

        using (Process guest = Process.GetProcessById(PidOf(vm, start.WinnerHostId!)))
        {
            guest.Kill();
        }

        IReadOnlyList<object> events = await UntilAsync(start.WinnerHostId!, events => events.OfType<VmDeallocated>().Any(e => e.VmId == vm));
        Assert.DoesNotContain(events, e => e is VmDeallocated gone && gone.VmId == neighbour);
    }

    private int PidOf(string vm, string hostId)
    {
        foreach (string file in Directory.EnumerateFiles(Path.Combine(system.State, hostId, "hypervisor", "guests"), "*.json"))
        {
            using JsonDocument record = JsonDocument.Parse(File.ReadAllText(file));
            if (record.RootElement.GetProperty("tag").GetProperty("vmId").GetString() == vm)
            {
                return record.RootElement.GetProperty("pid").GetInt32();
            }
        }

        throw new InvalidOperationException($"{hostId} has no record of {vm}.");
    }

    private async Task<IReadOnlyList<object>> UntilAsync(string hostId, Func<IReadOnlyList<object>, bool> complete)
    {
        using CancellationTokenSource bound = new(Bound);
        while (true)
        {
            Task change = system.Store.WaitForChangeAsync(TimeSpan.FromMilliseconds(500), bound.Token);
            IReadOnlyList<object> events = [.. (await system.Store.ReadStreamAsync(EventStreams.OfHost(hostId), 0, 1000, bound.Token)).Select(stored => stored.Data)];
            if (complete(events))
            {
                return events;
            }

            await change;
        }
    }
}
