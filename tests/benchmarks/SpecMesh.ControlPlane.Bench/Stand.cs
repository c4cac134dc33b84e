using System.Globalization;
using System.Text.Json;
using SpecMesh.Cli.Up;
using SpecMesh.ControlPlane.Bench.Agents;
using SpecMesh.Hosting;

namespace SpecMesh.ControlPlane.Bench;

/// <summary>
/// What is measured: RabbitMQ, PostgreSQL and the services as <c>tye.yaml</c> describes them, each a process of its own, and one process with the agents of all hosts.
/// </summary>
internal sealed class Stand : IAsyncDisposable
{
    private const string Agents = "agents";
    private const string AgentsProject = "tests/benchmarks/SpecMesh.ControlPlane.Bench/SpecMesh.ControlPlane.Bench.csproj";

    /// <summary>The services that take part, in the order of the reports. The gateway does not: the client speaks on the bus.</summary>
    public static readonly IReadOnlyList<string> Services = ["replication-policy", "placement", "failure-monitor"];

    private static readonly HttpClient Http = new(new SocketsHttpHandler { UseProxy = false });

    private readonly RunningSystem system;
    private readonly StateDirectory state;

    private Stand(RunningSystem system, StateDirectory state, IReadOnlyDictionary<string, int> pids, UpFile up)
    {
        this.system = system;
        this.state = state;
        Pids = pids;
        Programs = up.Services;
        Dictionary<string, string> given = File.ReadLines(up.EnvironmentFile).Select(line => line.Split('=', 2)).ToDictionary(pair => pair[0], pair => pair[1]);
        Bus = given[$"{SpecMeshOptions.Section}__{nameof(SpecMeshOptions.Bus)}"];
        Store = given[$"{SpecMeshOptions.Section}__{nameof(SpecMeshOptions.Store)}"];
    }

    /// <summary>Process ids by name: servers, services and agents.</summary>
    public IReadOnlyDictionary<string, int> Pids { get; }

    /// <summary>HTTP addresses by name: services and agents.</summary>
    public IReadOnlyDictionary<string, string> Programs { get; }

    /// <summary>Directory of the programs' logs, while they run.</summary>
    public string Logs => state.Logs;

    /// <summary>URL of the broker.</summary>
    public string Bus { get; }

    /// <summary>URL of the database.</summary>
    public string Store { get; }

    public static async Task<Stand> StartAsync(BenchOptions options, Action<string> report)
    {
        string root = Repository.Root() ?? throw new InvalidOperationException("There is no tye.yaml above this program.");
        StateDirectory state = StateDirectory.Take(Directory.CreateTempSubdirectory("specmesh-bench-").FullName);
        Environment.SetEnvironmentVariable(AgentsProgram.HostsVariable, options.Hosts.ToString(CultureInfo.InvariantCulture));
        StartOptions start = new(Measured(TopologyReader.Read(Path.Combine(root, "tye.yaml"))), state, 30_000 + (Environment.ProcessId % 10_000), TimeSpan.FromSeconds(120));
        RunningSystem system = await RunningSystem.StartAsync(start, report, CancellationToken.None);
        UpFile up = UpFile.Read(state.UpFile) ?? throw new InvalidOperationException("The system did not say where it is.");
        return new Stand(system, state, PidsIn(state.Ledger), up);
    }

    /// <summary>What the program says of itself now.</summary>
    public async Task<ScrapedMetrics> ScrapeAsync(string program) => ScrapedMetrics.Parse(await Http.GetStringAsync(new Uri(Programs[program] + "/metrics")));

    /// <summary>The pauses since the last call.</summary>
    public async Task<PauseSamples> TakePausesAsync() =>
        await Http.GetFromJsonAsync<PauseSamples>(new Uri(Programs[Agents] + AgentsProgram.PausesPath)) ?? throw new InvalidOperationException("The agents did not answer.");

    public async ValueTask DisposeAsync()
    {
        await system.DisposeAsync();
        state.DeleteServerHomes();
        state.Dispose();
        Directory.Delete(state.Root, recursive: true);
    }

    private static Topology Measured(Topology described)
    {
        IEnumerable<TopologyService> taken = described.Services.Where(service => service.External || Services.Contains(service.Name, StringComparer.Ordinal));
        TopologyService agents = new(
            Agents,
            AgentsProject,
            Executable: null,
            External: false,
            AgentsProgram.Verb,
            WorkingDirectory: null,
            "/health/ready",
            [new TopologyBinding(null, "http", null)],
            [
                new TopologyVariable("SpecMesh__Bus", null),
                new TopologyVariable("SpecMesh__Store", SpecMeshOptions.NoStore),
                new TopologyVariable("SpecMesh__ClusterKey", null),
                new TopologyVariable("SPECMESH_STATE", null),
                new TopologyVariable(AgentsProgram.HostsVariable, null),
                new TopologyVariable("SpecMesh__StateDirectory", "${env:SPECMESH_STATE}/agents"),
                new TopologyVariable("SpecMesh__ReplicationPolicyUrl", "http://${service:replication-policy:host}:${service:replication-policy:port}"),
            ]);
        return described with { Services = [.. taken, agents] };
    }

    private static Dictionary<string, int> PidsIn(string ledger)
    {
        using JsonDocument json = JsonDocument.Parse(File.ReadAllText(ledger));
        return json.RootElement.GetProperty("Processes").EnumerateArray()
            .ToDictionary(process => process.GetProperty("Name").GetString()!, process => process.GetProperty("Pid").GetInt32(), StringComparer.Ordinal);
    }
}
