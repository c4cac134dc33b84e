using System.Security.Cryptography;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using SpecMesh.Contracts;
using SpecMesh.FailureMonitor;
using SpecMesh.HostAgent;
using SpecMesh.Hosting;
using SpecMesh.Placement;
using SpecMesh.ReplicationPolicy;

namespace SpecMesh.Cli.Demo;

/// <summary>Everything in one process: an in-memory bus, a SQLite store in a temporary directory, all services and all agents. Only guests are processes of their own.</summary>
internal static class EmbeddedSystem
{
    public static async Task<DemoSystem> StartAsync(DemoOptions options, CancellationToken cancellationToken)
    {
        await DeadDemonstrations.SweepAsync(cancellationToken);
        (string directory, FileStream held) = DeadDemonstrations.Take();
        string clusterKey = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32));
        HostApplicationBuilder builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Configuration.AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["SpecMesh:Bus"] = "memory",
            ["SpecMesh:Store"] = "sqlite:" + Path.Combine(directory, "specmesh.db"),
            ["SpecMesh:ClusterKey"] = clusterKey,
        });
        DemoLogging.Add(builder.Logging, options.Verbose);
        ProgressFeed progress = new();
        builder.AddSpecMesh("placement", ContractCatalogue.All, ContractJson.Options).AddPlacement();
        builder.AddSpecMesh("replication-policy", ContractCatalogue.All, ContractJson.Options).AddReplicationPolicy();
        builder.AddSpecMesh("failure-monitor", ContractCatalogue.All, ContractJson.Options).AddFailureMonitor();
        MeshBuilder mesh = builder.AddSpecMesh("host-agent", ContractCatalogue.All, ContractJson.Options).AddProgressFeed(progress);
        builder.Services.AddSingleton<IOwnershipLog, InProcessOwnershipLog>();
        Dictionary<string, string> stateOf = new(StringComparer.Ordinal);
        for (int i = 1; i <= options.Hosts; i++)
        {
            HostAgentOptions agent = AgentOptions(options, directory, clusterKey, i);
            mesh.AddHostAgent(agent);
            stateOf[agent.HostId] = agent.StateDirectory;
        }

        IHost host = builder.Build();
        await host.StartAsync(cancellationToken);
        return new DemoSystem(host, progress, stateOf, async () =>
        {
            // Whoever interrupts a demonstration may find its agents in the middle of building shells: those go when the agents have.
            await new HostInspection(stateOf).DestroyAllAsync(null, CancellationToken.None);
            await held.DisposeAsync();
            Directory.Delete(directory, recursive: true);
        });
    }

    private static HostAgentOptions AgentOptions(DemoOptions options, string directory, string clusterKey, int number) => new()
    {
        HostId = $"host-{number}",
        FailureDomain = $"rack-{(char)('a' + ((number - 1) / 2))}",
        MemoryBytes = 2 * options.MemoryBytes + (64L << 20),
        StateDirectory = Path.Combine(directory, $"host-{number}"),
        ClusterKey = clusterKey,
        AllowFaultInjection = true,
        ProgressInterval = TimeSpan.FromMilliseconds(200),
    };
}

/// <summary>The ownership event streams, called within the process.</summary>
internal sealed class InProcessOwnershipLog(Ownership ownership, OperationDirectory directory) : IOwnershipLog
{
    public Task<OwnershipAnswer> TransferAsync(string vmId, TransferOwnership request, CancellationToken cancellationToken) =>
        ownership.TransferAsync(vmId, request, cancellationToken);

    public Task<OwnershipAnswer> RefuseAsync(string vmId, RefuseTransfer request, CancellationToken cancellationToken) =>
        ownership.RefuseAsync(vmId, request, cancellationToken);

    public Task<OwnershipAnswer> ReleaseAsync(string vmId, ReleaseOwnership request, CancellationToken cancellationToken) =>
        ownership.ReleaseAsync(vmId, request, cancellationToken);

    public Task<OwnershipView> ReadAsync(string vmId, CancellationToken cancellationToken) => ownership.ReadAsync(vmId, cancellationToken);

    public Task<IReadOnlyList<string>> OwnedByAsync(string hostId, CancellationToken cancellationToken) => Task.FromResult(directory.OwnedBy(hostId));
}

/// <summary>What both systems of the demonstration share.</summary>
internal static class DemoLogging
{
    public static void Add(ILoggingBuilder logging, bool verbose)
    {
        logging.AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        logging.SetMinimumLevel(verbose ? LogLevel.Information : LogLevel.Critical);
    }

    public static MeshBuilder AddProgressFeed(this MeshBuilder mesh, ProgressFeed progress) =>
        mesh.Endpoint($"demo-{Environment.ProcessId}", endpoint => endpoint.Temporary().Receive<ReplicaProgressed>((report, _, _) =>
        {
            progress.Take(report);
            return Task.CompletedTask;
        }));
}
