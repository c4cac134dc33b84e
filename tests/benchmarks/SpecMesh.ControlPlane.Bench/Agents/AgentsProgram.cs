using System.Diagnostics;
using System.Globalization;
using SpecMesh.Contracts;
using SpecMesh.HostAgent;
using SpecMesh.Hosting;
using SpecMesh.Hypervisors;

namespace SpecMesh.ControlPlane.Bench.Agents;

/// <summary>The agents of all hosts in one process: the product's own, each with its queue, journal, listener and line to replication-policy. Only the hypervisor is free.</summary>
internal static class AgentsProgram
{
    public const string Verb = "agents";
    public const string HostsVariable = "SPECMESH_BENCH_HOSTS";
    public const string PausesPath = "/pauses";

    public static async Task RunAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateBuilder();
        IConfigurationSection settings = builder.Configuration.GetSection("SpecMesh");
        PauseClock clock = new();
        MeshBuilder mesh = builder.AddSpecMesh("host-agent", ContractCatalogue.All, ContractJson.Options);
        Dictionary<string, IOwnershipLog> lines = new(StringComparer.Ordinal);
        foreach (HostAgentOptions options in HostsOf(settings))
        {
            mesh.AddHostAgent(options);
            mesh.Services.AddKeyedSingleton<IHypervisor>(options.HostId, new FreeHypervisor(clock));
            lines.Add(options.HostId, LineOf(options));
        }

        mesh.Services.AddSingleton<IOwnershipLog>(new TimedLines(lines, clock));
        WebApplication app = builder.Build();
        app.MapSpecMesh();
        app.MapGet(PausesPath, () => clock.Take());
        await app.RunAsync();
    }

    private static IEnumerable<HostAgentOptions> HostsOf(IConfigurationSection settings)
    {
        int hosts = int.Parse(Environment.GetEnvironmentVariable(HostsVariable)!, CultureInfo.InvariantCulture);
        return Enumerable.Range(1, hosts).Select(number => new HostAgentOptions
        {
            HostId = $"host-{number}",
            FailureDomain = $"rack-{number}",
            MemoryBytes = 1L << 40,
            StateDirectory = Path.Combine(settings["StateDirectory"]!, $"host-{number}"),
            ClusterKey = settings["ClusterKey"]!,
            ReplicationPolicyUrl = new Uri(settings["ReplicationPolicyUrl"]!),
        });
    }

    /// <summary>As the agent's own program registers it.</summary>
    private static IOwnershipLog LineOf(HostAgentOptions options)
    {
        ServiceCollection services = new();
        services.AddHttpOwnershipLog(options);
        return services.BuildServiceProvider().GetRequiredService<IOwnershipLog>();
    }
}

/// <summary>Each host's own line to the ownership event streams, and how long its appends take.</summary>
internal sealed class TimedLines(IReadOnlyDictionary<string, IOwnershipLog> lines, PauseClock clock) : IOwnershipLog
{
    public async Task<OwnershipAnswer> TransferAsync(string vmId, TransferOwnership request, CancellationToken cancellationToken)
    {
        long started = Stopwatch.GetTimestamp();
        OwnershipAnswer answer = await lines[request.HostId].TransferAsync(vmId, request, cancellationToken);
        clock.Appended(Stopwatch.GetElapsedTime(started));
        return answer;
    }

    public Task<OwnershipAnswer> RefuseAsync(string vmId, RefuseTransfer request, CancellationToken cancellationToken) =>
        lines[request.HostId].RefuseAsync(vmId, request, cancellationToken);

    public Task<OwnershipAnswer> ReleaseAsync(string vmId, ReleaseOwnership request, CancellationToken cancellationToken) =>
        lines[request.HostId].ReleaseAsync(vmId, request, cancellationToken);

    public Task<IReadOnlyList<string>> OwnedByAsync(string hostId, CancellationToken cancellationToken) => lines[hostId].OwnedByAsync(hostId, cancellationToken);

    public Task<OwnershipView> ReadAsync(string vmId, CancellationToken cancellationToken) => lines.First().Value.ReadAsync(vmId, cancellationToken);
}
