using System.Diagnostics;

namespace SpecMesh.ControlPlane.Bench.Load;

/// <summary>Operations that ended in the counted window, and what everything had used at its ends.</summary>
internal sealed record LoadResult(int Sq, IReadOnlyList<Timing> Operations, Snapshot Begin, Snapshot End)
{
    /// <summary>Why operations failed; empty when every one has succeeded.</summary>
    public IReadOnlyList<string> Failures => [.. Operations.Select(operation => operation.Failure).OfType<string>()];

    public TimeSpan Elapsed => Stopwatch.GetElapsedTime(Begin.At, End.At);
}

/// <summary>A fixed number of machines, each migrated again as soon as its migration has settled.</summary>
internal sealed class ClosedLoop(Client client, Stand stand, StoreReader store, IReadOnlyList<string> machines)
{
    /// <summary>Migrates one machine after the other's end, one at a time.</summary>
    public async Task<IReadOnlyList<Timing>> RunAloneAsync(int operations)
    {
        List<Timing> timings = [];
        for (int i = 0; i < operations; i++)
        {
            timings.Add(await client.MigrateAsync(machines[i % machines.Count], sq: 1));
        }

        return timings;
    }

    public async Task<LoadResult> RunAsync(int sq, TimeSpan ramp, TimeSpan window)
    {
        using CancellationTokenSource stop = new();
        Task<List<Timing>>[] callers = [.. machines.Select(machine => CallAsync(machine, sq, stop.Token))];
        await PassAsync(ramp, callers);
        Snapshot begin = await Snapshot.TakeAsync(stand, store);
        await PassAsync(window, callers);
        Snapshot end = await Snapshot.TakeAsync(stand, store);
        await stop.CancelAsync();
        List<Timing>[] all = await Task.WhenAll(callers);
        return new LoadResult(sq, [.. all.SelectMany(timings => timings).Where(timing => timing.SettledAt > begin.At && timing.SettledAt <= end.At)], begin, end);
    }

    private async Task<List<Timing>> CallAsync(string machine, int sq, CancellationToken stop)
    {
        List<Timing> timings = [];
        while (!stop.IsCancellationRequested)
        {
            timings.Add(await client.MigrateAsync(machine, sq));
        }

        return timings;
    }

    /// <summary>Lets time pass under load; a caller that fails ends the run.</summary>
    private static async Task PassAsync(TimeSpan time, Task[] callers)
    {
        using PeriodicTimer timer = new(time);
        Task passed = timer.WaitForNextTickAsync().AsTask();
        if (await Task.WhenAny([passed, .. callers]) is var first && first != passed)
        {
            await first;
        }
    }
}
