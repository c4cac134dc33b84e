using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Hosting;
using SpecMesh.Cli.Commands;
using SpecMesh.Cli.Up;
using SpecMesh.Contracts;
using SpecMesh.Hosting;

namespace SpecMesh.Cli.Demo;

/// <summary>RabbitMQ, PostgreSQL, services and agents as processes: the system that <c>specmesh up</c> runs, or one that is started for the demonstration.</summary>
internal static class RealSystem
{
    private const string HostPrefix = "host-";
    private static readonly TimeSpan ReadyBound = TimeSpan.FromSeconds(180);

    public static async Task<DemoSystem> OpenAsync(DemoOptions options, string stateDirectory, CancellationToken cancellationToken)
    {
        if (UpFile.Read(StateDirectory.UpFileIn(stateDirectory)) is { } running)
        {
            return await ConnectAsync(options, stateDirectory, running, () => Task.CompletedTask, cancellationToken);
        }

        string temporary = Directory.CreateTempSubdirectory("specmesh-up-").FullName;
        StateDirectory state = StateDirectory.Take(temporary);
        RunningSystem system = await StartAsync(state, options, cancellationToken);
        UpFile started = UpFile.Read(state.UpFile) ?? throw new CommandException("The system that was started did not say where it is.");
        return await ConnectAsync(options, temporary, started, () => StopAsync(system, state), cancellationToken);
    }

    private static async Task<RunningSystem> StartAsync(StateDirectory state, DemoOptions options, CancellationToken cancellationToken)
    {
        string root = Repository.Root() ?? throw new CommandException("There is no tye.yaml above this program: it was moved out of its tree.");
        try
        {
            Topology topology = WithHosts(TopologyReader.Read(Path.Combine(root, "tye.yaml")), options.Hosts);
            Action<string> report = options.Json ? _ => { } : Console.WriteLine;
            return await RunningSystem.StartAsync(new StartOptions(topology, state, FirstPort(), ReadyBound), report, cancellationToken);
        }
        catch (Exception exception) when (exception is TopologyException or StartFailedException)
        {
            throw new CommandException(exception.Message);
        }
    }

    /// <summary>Ports of its own: those of the topology belong to <c>infra/up</c>, even while one of its servers is being started again.</summary>
    private static int FirstPort() => 20_000 + (Environment.ProcessId % 10_000);

    /// <summary>The topology with further host agents, made after its last one, where a demonstration wants more hosts than it describes.</summary>
    private static Topology WithHosts(Topology topology, int wanted)
    {
        List<TopologyService> hosts = [.. topology.Services.Where(service => service.Name.StartsWith(HostPrefix, StringComparison.Ordinal))];
        TopologyService last = hosts[^1];
        IEnumerable<TopologyService> further = Enumerable.Range(hosts.Count + 1, Math.Max(0, wanted - hosts.Count)).Select(number =>
        {
            string name = $"{HostPrefix}{number}";
            return last with
            {
                Name = name,
                Bindings = [.. last.Bindings.Select(binding => binding with { Port = null })],
                Environment = [.. last.Environment.Select(variable => variable with { Value = variable.Value?.Replace(last.Name, name, StringComparison.Ordinal) })],
            };
        });
        return topology with { Services = [.. topology.Services, .. further] };
    }

    private static async Task<DemoSystem> ConnectAsync(DemoOptions options, string stateDirectory, UpFile up, Func<Task> cleanUp, CancellationToken cancellationToken)
    {
        HostApplicationBuilder builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Configuration.AddInMemoryCollection(ReadEnvironment(up.EnvironmentFile));
        DemoLogging.Add(builder.Logging, options.Verbose);
        ProgressFeed progress = new();
        builder.AddSpecMesh("demo", ContractCatalogue.All, ContractJson.Options).AddProgressFeed(progress);
        IHost host = builder.Build();
        await host.StartAsync(cancellationToken);
        Dictionary<string, string> stateOf = up.Services.Keys.Where(name => name.StartsWith(HostPrefix, StringComparison.Ordinal))
            .ToDictionary(name => name, name => Path.Combine(stateDirectory, name), StringComparer.Ordinal);
        return new DemoSystem(host, progress, stateOf, cleanUp);
    }

    private static async Task StopAsync(RunningSystem system, StateDirectory state)
    {
        await system.DisposeAsync();
        state.DeleteServerHomes();
        state.Dispose();
        Directory.Delete(state.Root, recursive: true);
    }

    private static Dictionary<string, string?> ReadEnvironment(string file) => File.ReadLines(file)
        .Select(line => line.Split('=', 2))
        .ToDictionary(pair => pair[0].Replace("__", ":", StringComparison.Ordinal), string? (pair) => pair[1]);
}
