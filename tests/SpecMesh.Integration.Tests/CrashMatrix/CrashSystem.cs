using System.Net.Http.Headers;
using System.Net.Http.Json;
using SpecMesh.Cli.Up;
using SpecMesh.Contracts;
using SpecMesh.EventStore;

namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>
/// The system that the matrix strikes: RabbitMQ, PostgreSQL, the services and three agents as processes, each of which reaches every other one through a <see cref="Link"/> of
/// its own, with fault points on. It is one for all cells; a cell leaves it whole.
/// </summary>
public sealed class CrashSystem : IAsyncLifetime
{
    /// <summary>The hosts; a cell gives each of them a part.</summary>
    public static readonly string[] Hosts = ["host-1", "host-2", "host-3"];

    private static readonly TimeSpan ReadyBound = TimeSpan.FromMinutes(4);
    private readonly string home = Directory.CreateTempSubdirectory("specmesh-crash-").FullName;
    private readonly List<string> journal = [];
    private long told;
    private readonly Stack<Func<ValueTask>> stops = new();

    /// <summary>Why the system cannot be started here; null when it can. Servers that the environment gives are not struck.</summary>
    public static string? WhyNot => RunningSystemFixture.MissingServers
        ?? (PrivateRabbitMq.IsInstalled && PrivatePostgres.IsInstalled ? null : "RabbitMQ and PostgreSQL are given by the environment and not installed: they are not struck.");

    public string State => home;

    /// <summary>The file system of the database; null where the machine permits none.</summary>
    public DatabaseDisk? Disk { get; private set; }

    public ArmedPoints Points { get; private set; } = null!;

    public Links Links { get; private set; } = null!;

    public Victims Victims { get; private set; } = null!;

    public HttpClient Gateway { get; } = new() { Timeout = TimeSpan.FromSeconds(10) };

    public IEventStore Store { get; private set; } = null!;

    public EventTypes Types { get; } = new(ContractCatalogue.All, ContractJson.Options);

    /// <summary>RabbitMQ's URL without a link in between.</summary>
    public string Bus { get; private set; } = "";

    /// <summary>PostgreSQL's URL without a link in between.</summary>
    public string Database { get; private set; } = "";

    /// <summary>HTTP address of each service and agent, without a link in between.</summary>
    public IReadOnlyDictionary<string, string> Services { get; private set; } = new Dictionary<string, string>();

    /// <summary>Results of the cells, for the table at the end.</summary>
    public ResultTable Results { get; } = new();

    public async Task InitializeAsync()
    {
        if (WhyNot is not null)
        {
            return;
        }

        try
        {
            await StartAsync();
        }
        catch
        {
            // xunit disposes of no fixture that could not be made, and this one has servers and a mount.
            await DisposeAsync();
            throw;
        }
    }

    private async Task StartAsync()
    {
        StateDirectory state = StateDirectory.Take(home);
        stops.Push(() =>
        {
            state.DeleteServerHomes();
            state.Dispose();
            return ValueTask.CompletedTask;
        });
        if (DatabaseDisk.WhyNot is null)
        {
            Disk = DatabaseDisk.Mount(Path.Combine(home, "database.image"), state.ServerHome("postgres", UnixUser.ForServer("postgres")));
            stops.Push(() =>
            {
                Disk.Dispose();
                return ValueTask.CompletedTask;
            });
        }

        string runId = Guid.NewGuid().ToString("N");
        string ledger = Path.Combine(home, "servers.json");
        Supervisor servers = new(runId, new ProcessLedger(ledger, runId), Note, TimeSpan.FromSeconds(1));
        stops.Push(servers.DisposeAsync);
        LoopbackPorts ports = new();
        Bus = (await PrivateRabbitMq.StartAsync(servers, state, ports, null, CancellationToken.None)).Url;
        servers.BeginStage();
        Database = (await PrivatePostgres.StartAsync(servers, state, ports, null, CancellationToken.None)).Url;
        Points = new ArmedPoints(Path.Combine(home, "fault-points"));
        CrashTopology topology = new(TopologyReader.Read(Path.Combine(Programs.Root, "tye.yaml")), ports, Bus, Database, Points.Directory);
        Links = topology.Links;
        stops.Push(Links.DisposeAsync);
        RunningSystem system = await RunningSystem.StartAsync(
            new StartOptions(topology.Topology, state, null, ReadyBound, LongestRestartPause: TimeSpan.FromSeconds(1)), Note, CancellationToken.None);
        stops.Push(system.DisposeAsync);
        Victims = new Victims([ledger, state.Ledger]);
        UpFile up = UpFile.Read(state.UpFile)!;
        Services = up.Services;
        Assert.Equal(topology.HttpAddresses.Order(), up.Services.Values.Order());
        Store = StoreConnection.Open(Database, Types, TimeProvider.System);
        stops.Push(Store.DisposeAsync);
        Gateway.BaseAddress = new Uri(up.Gateway!);
        Gateway.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", (await File.ReadAllTextAsync(up.ApiKeyFile)).Trim());
        foreach (string host in Hosts)
        {
            // Its state directory is new, and so is the host: nothing runs there that the agent does not know of.
            await BrokerFaults.SendAsync(Bus, host, new ReconcileHost(host, NothingUnknown: true));
        }
    }

    public async Task DisposeAsync()
    {
        Gateway.Dispose();
        while (stops.TryPop(out Func<ValueTask>? stop))
        {
            await stop();
        }

        Results.Print();
        if (Environment.GetEnvironmentVariable("SPECMESH_KEEP_LOGS") is not { Length: > 0 } kept)
        {
            Directory.Delete(home, recursive: true);
            return;
        }

        File.WriteAllLines(Path.Combine(home, "logs", "cases.log"), journal);
        Directory.CreateDirectory(kept);
        Directory.Move(Path.Combine(home, "logs"), Path.Combine(kept, Path.GetFileName(home)));
        Directory.Delete(home, recursive: true);
    }

    /// <summary>Waits until every process is ready and trusts every host, as before the first cell.</summary>
    public Task WholeAsync() => Until.TrueAsync(async () =>
    {
        foreach ((string service, string address) in Services)
        {
            using HttpResponseMessage ready = await Gateway.GetAsync(new Uri(address + "/health/ready"));
            if (!ready.IsSuccessStatusCode)
            {
                return $"{service} is not ready: {await ready.Content.ReadAsStringAsync()}";
            }
        }

        if (await BrokerFaults.FirstUnreadAsync(Bus, Oracle.Queues) is { } unread)
        {
            return $"nobody reads the queue {unread}";
        }

        IReadOnlyList<HostView> hosts = (await Gateway.GetFromJsonAsync<IReadOnlyList<HostView>>("/v1/hosts", ContractJson.Options))!;
        HostView? missing = hosts.FirstOrDefault(host => host.Suspicion is not null || host.SecondsSinceBeat is not < 2);
        return hosts.Count != Hosts.Length ? $"{hosts.Count} hosts are known" : missing is null ? null : $"{missing.HostId} is not heard, or suspected: {missing.Suspicion?.Detail}";
    });

    /// <summary>Writes down how a machine's case went, for whoever looks for the cause of a failure.</summary>
    public async Task TellAsync(string vmId, string name)
    {
        Note($"{name}: {vmId}");
        foreach (StoredEvent stored in (await Store.ReadAllAsync(told, 10_000, CancellationToken.None)).Events)
        {
            told = stored.Sequence;
            Note($"  {stored.Timestamp.ToLocalTime():HH:mm:ss.fff} {stored.StreamId} {stored.Version} {stored.Alias} {Types.Write(stored.Data)}");
        }
    }

    private void Note(string line)
    {
        lock (journal)
        {
            journal.Add($"{DateTimeOffset.Now:HH:mm:ss.fff} {line}");
        }
    }
}

/// <summary>Cells share one system, one after the other, while no other system runs.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class CrashSystemCollection : ICollectionFixture<CrashSystem>
{
    public const string Name = "crash matrix";
}
