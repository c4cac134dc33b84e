using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using SpecMesh.ControlPlane.Bench.Load;
using SpecMesh.ControlPlane.Bench.Raw;
using SpecMesh.ControlPlane.Bench.Report;

namespace SpecMesh.ControlPlane.Bench;

/// <summary>One run: start, alone, under load at each SQ with the raw work right after it, report.</summary>
internal sealed class Benchmark
{
    private const int MostRawOperations = 1000;
    private static readonly TimeSpan IdleTime = TimeSpan.FromSeconds(10);

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    private readonly BenchOptions options;
    private readonly Stand stand;
    private readonly StoreReader store;
    private readonly ClosedLoop loop;

    private Benchmark(BenchOptions options, Stand stand, StoreReader store, ClosedLoop loop)
    {
        this.options = options;
        this.stand = stand;
        this.store = store;
        this.loop = loop;
    }

    public static async Task<int> RunAsync(BenchOptions options)
    {
        double loadBefore = double.Parse((await File.ReadAllTextAsync("/proc/loadavg")).Split(' ')[0], CultureInfo.InvariantCulture);
        await using Stand stand = await Stand.StartAsync(options, Say);
        Say($"logs in {stand.Logs}");
        await using StoreReader store = new(stand.Store);
        await using Client client = await Client.StartAsync(stand.Bus);
        string[] machines = [.. Enumerable.Range(1, options.Concurrency).Select(number => $"vm-{number}")];
        foreach (string machine in machines)
        {
            await client.PowerOnAsync(machine);
        }

        Benchmark benchmark = new(options, stand, store, new ClosedLoop(client, stand, store, machines));
        BenchResult result = await benchmark.MeasureAsync(loadBefore);
        Console.WriteLine(options.Json ? JsonSerializer.Serialize(result, Json) : Tables.Of(result));
        return 0;
    }

    private async Task<BenchResult> MeasureAsync(double loadBefore)
    {
        Say($"{options.Pauses} migrations alone");
        await loop.RunAloneAsync(options.Pauses / 4);
        await stand.TakePausesAsync();
        IReadOnlyList<Timing> timings = await loop.RunAloneAsync(options.Pauses);
        PauseResult alone = PauseResult.Of(await stand.TakePausesAsync(), timings);
        IReadOnlyDictionary<string, double> idle = await IdleAsync();
        (int eventBytes, string durability) = await store.DescribeAsync();
        RawStore rawStore = new(stand.Store, options.Concurrency, eventBytes);
        await rawStore.CreateAsync();
        await using RawBroker rawBroker = new(stand.Bus, Stand.Services.Count + options.Hosts, eventBytes);
        await rawBroker.OpenAsync();
        List<SqResult> loads = [];
        foreach (int sq in options.Sqs)
        {
            Say($"SQ={sq}: {options.Ramp.TotalSeconds:0} s without and {options.Window.TotalSeconds:0} s with counting, then the raw work");
            LoadResult load = await loop.RunAsync(sq, options.Ramp, options.Window);
            loads.Add(await BesideRawAsync(load, rawStore, rawBroker, idle));
        }

        return new BenchResult(Environment.ProcessorCount, loadBefore, durability, options.Hosts, options.Concurrency, idle, alone, loads);
    }

    /// <summary>What the system uses while nothing is asked of it, by process.</summary>
    private async Task<IReadOnlyDictionary<string, double>> IdleAsync()
    {
        Snapshot begin = await Snapshot.TakeAsync(stand, store);
        using PeriodicTimer timer = new(IdleTime);
        await timer.WaitForNextTickAsync();
        Snapshot end = await Snapshot.TakeAsync(stand, store);
        return end.CpuSince(begin).ToDictionary(pair => pair.Key, pair => pair.Value / IdleTime.TotalSeconds, StringComparer.Ordinal);
    }

    private async Task<SqResult> BesideRawAsync(LoadResult load, RawStore rawStore, RawBroker rawBroker, IReadOnlyDictionary<string, double> idle)
    {
        foreach (string failure in load.Failures)
        {
            Say($"an operation failed: {failure}");
        }

        OperationCost cost = OperationCost.Of(load);
        Percentiles ownership = Percentiles.Of((await stand.TakePausesAsync()).Ownership);
        int operations = Math.Min(MostRawOperations, load.Operations.Count);

        // Compiled before it is measured, as the services are after their ramp.
        await Task.WhenAll(rawStore.RunAsync(cost, operations / 4), rawBroker.RunAsync(cost, operations / 4));
        RawCost storeAlone = await RawCost.MeasureAsync(stand, operations, idle, () => rawStore.RunAsync(cost, operations));
        RawCost brokerAlone = await RawCost.MeasureAsync(stand, operations, idle, () => rawBroker.RunAsync(cost, operations));
        RawCost both = await RawCost.MeasureAsync(stand, operations, idle, () => Task.WhenAll(rawStore.RunAsync(cost, operations), rawBroker.RunAsync(cost, operations)));
        return new SqResult(
            load.Sq,
            load.Operations.Count,
            load.Failures.Count,
            load.Elapsed.TotalSeconds,
            load.Operations.Count / load.Elapsed.TotalSeconds,
            Percentiles.Of(load.Operations.Select(operation => operation.Completed)),
            Percentiles.Of(load.Operations.Select(operation => operation.Settled)),
            ownership,
            load.End.CpuSince(load.Begin).ToDictionary(pair => pair.Key, pair => 1000 * pair.Value / load.Operations.Count, StringComparer.Ordinal),
            cost,
            storeAlone,
            brokerAlone,
            both);
    }

    private static void Say(string line) => Console.Error.WriteLine(line);
}
