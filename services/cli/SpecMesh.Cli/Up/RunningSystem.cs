using System.Globalization;
using System.Text;

namespace SpecMesh.Cli.Up;

/// <summary>How a system is started.</summary>
/// <param name="Topology">What is started.</param>
/// <param name="State">Keys, logs and data.</param>
/// <param name="FirstPort">Ports are taken from here upwards; null: those of the topology where they are free.</param>
/// <param name="ReadyBound">How long one stage of services may take to become ready.</param>
/// <param name="LongestRestartPause">Longest pause before a service that died is started again; null: the supervisor's own.</param>
public sealed record StartOptions(Topology Topology, StateDirectory State, int? FirstPort, TimeSpan ReadyBound, TimeSpan? LongestRestartPause = null);

/// <summary>One address of a running system, for the operator.</summary>
/// <param name="Service">Name of the service.</param>
/// <param name="Protocol">Protocol.</param>
/// <param name="Address">URL or address and port.</param>
/// <param name="Origin">Its log in the state directory, or the environment variable that gave it.</param>
public sealed record ServiceAddress(string Service, string Protocol, string Address, string Origin);

/// <summary>
/// A system that runs: servers, services and agents as processes of their own, in the order of the topology's stages. Disposal stops all of it.
/// </summary>
public sealed class RunningSystem : IAsyncDisposable
{
    private readonly StartOptions options;
    private readonly Supervisor supervisor;
    private readonly LoopbackPorts ports;
    private readonly Action<string> report;
    private readonly Dictionary<(string Service, string? Binding), int> boundPorts = [];
    private readonly Dictionary<string, string> given = new(StringComparer.Ordinal);
    private readonly List<ServiceAddress> addresses = [];

    private RunningSystem(StartOptions options, Action<string> report)
    {
        this.options = options;
        this.report = report;
        ports = new LoopbackPorts(options.FirstPort);
        string runId = Guid.NewGuid().ToString("N");
        supervisor = new Supervisor(runId, new ProcessLedger(options.State.Ledger, runId), report, options.LongestRestartPause);
    }

    /// <summary>Every address, in the order of the topology.</summary>
    public IReadOnlyList<ServiceAddress> Addresses => addresses;

    /// <summary>Starts everything and waits until it is ready. What an earlier run left behind in the same state directory is ended first.</summary>
    /// <exception cref="StartFailedException">Something did not become ready; everything is stopped again.</exception>
    public static async Task<RunningSystem> StartAsync(StartOptions options, Action<string> report, CancellationToken cancellationToken)
    {
        foreach (KnownProcess left in await ProcessLedger.EndLeftoversAsync(options.State.Ledger))
        {
            report(string.Create(CultureInfo.InvariantCulture, $"ended {left.Name} (process {left.Pid}), which an earlier run had left behind"));
        }

        RunningSystem system = new(options, report);
        try
        {
            await system.StartAllAsync(cancellationToken);
            return system;
        }
        catch
        {
            await system.DisposeAsync();
            throw;
        }
    }

    /// <summary>Stops services and agents, then the servers, and takes the addresses back.</summary>
    public async ValueTask DisposeAsync()
    {
        File.Delete(options.State.UpFile);
        File.Delete(options.State.EnvironmentFile);
        await supervisor.DisposeAsync();
    }

    private async Task StartAllAsync(CancellationToken cancellationToken)
    {
        CheckBuilt();
        given["SPECMESH_STATE"] = options.State.Root;
        given["SpecMesh__ClusterKey"] = PrivateFiles.Secret(options.State.ClusterKeyFile);
        given["SpecMesh__GatewayKey"] = PrivateFiles.Secret(options.State.GatewayKeyFile);
        given["SpecMesh__ApiKeys__0__Key"] = PrivateFiles.Secret(options.State.ApiKeyFile);
        IReadOnlyList<IReadOnlyList<TopologyService>> stages = options.Topology.Stages();
        foreach (TopologyService server in stages[0])
        {
            supervisor.BeginStage();
            await StartServerAsync(server, cancellationToken);
        }

        foreach (TopologyService service in stages.Skip(1).SelectMany(stage => stage))
        {
            foreach (TopologyBinding binding in service.Bindings)
            {
                boundPorts[(service.Name, binding.Name)] = ports.Take(binding.Port);
            }
        }

        foreach (IReadOnlyList<TopologyService> stage in stages.Skip(1))
        {
            supervisor.BeginStage();
            report($"starting {string.Join(", ", stage.Select(service => service.Name))}");
            await StartStageAsync(stage, cancellationToken);
        }

        foreach (TopologyService service in options.Topology.Services.Where(service => !service.External))
        {
            addresses.AddRange(service.Bindings.Select(binding =>
                new ServiceAddress(service.Name, binding.Protocol, AddressOf(service, binding), "logs/" + service.Name + ".log")));
        }

        WriteFiles();
    }

    private async Task StartStageAsync(IReadOnlyList<TopologyService> stage, CancellationToken cancellationToken)
    {
        using CancellationTokenSource firstFailure = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task[] starting = [.. stage.Select(service => StartServiceAsync(service, firstFailure.Token))];
        try
        {
            await foreach (Task started in Task.WhenEach(starting))
            {
                await started;
            }
        }
        catch
        {
            await firstFailure.CancelAsync();
            await Task.WhenAll(starting).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            throw;
        }
    }

    private void CheckBuilt()
    {
        string[] missing = [.. options.Topology.Services
            .Where(service => service.Project is { } project && !File.Exists(Repository.ProgramOf(options.Topology.Directory, project)))
            .Select(service => service.Name)];
        if (missing.Length > 0)
        {
            throw new StartFailedException($"not built: {string.Join(", ", missing)}");
        }
    }

    private async Task StartServerAsync(TopologyService server, CancellationToken cancellationToken)
    {
        string protocol = server.Bindings.Count > 0 ? server.Bindings[0].Protocol : "";
        int? port = server.Bindings.Count > 0 ? server.Bindings[0].Port : null;
        (string source, string variable) = protocol switch
        {
            "amqp" => ("SPECMESH_RABBITMQ", "SpecMesh__Bus"),
            "postgres" => ("SPECMESH_POSTGRES", "SpecMesh__Store"),
            _ => throw new TopologyException($"'{server.Name}' is external, but its protocol is neither amqp nor postgres"),
        };
        if (Environment.GetEnvironmentVariable(source) is { Length: > 0 } url)
        {
            given[variable] = url;
            addresses.Add(new ServiceAddress(server.Name, protocol, WithoutCredentials(url), source));
            return;
        }

        bool installed = protocol == "amqp" ? PrivateRabbitMq.IsInstalled : PrivatePostgres.IsInstalled;
        if (!installed)
        {
            string package = protocol == "amqp" ? "rabbitmq-server" : "postgresql";
            throw new StartFailedException(
                $"{server.Name} is neither given by {source} nor installed. Install it with: apt-get install -y --no-install-recommends {package}");
        }

        report($"starting {server.Name}");
        string address;
        if (protocol == "amqp")
        {
            PrivateRabbitMq rabbit = await PrivateRabbitMq.StartAsync(supervisor, options.State, ports, port, cancellationToken);
            (given[variable], address) = (rabbit.Url, rabbit.Address);
        }
        else
        {
            PrivatePostgres postgres = await PrivatePostgres.StartAsync(supervisor, options.State, ports, port, cancellationToken);
            (given[variable], address) = (postgres.Url, postgres.Address);
        }

        addresses.Add(new ServiceAddress(server.Name, protocol, address, protocol == "amqp" ? "logs/rabbitmq.log" : "logs/postgres.log"));
    }

    private Task StartServiceAsync(TopologyService service, CancellationToken cancellationToken)
    {
        string directory = options.Topology.Directory;
        List<string> arguments = [.. (service.Args ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries)];
        string program = service.Executable ?? Repository.Dotnet();
        if (service.Project is { } project)
        {
            arguments.Insert(0, Repository.ProgramOf(directory, project));
        }

        string workingDirectory = Path.GetFullPath(Path.Combine(directory, service.WorkingDirectory ?? "."));
        ChildSpec spec = new(service.Name, program, arguments, EnvironmentOf(service), workingDirectory, options.State.NewLog(service.Name));
        ReadinessProbe? probe = service.ReadinessPath is { } path ? new HttpReadiness(AddressOf(service, service.HttpBinding!) + path).ProbeAsync : null;
        return supervisor.StartAsync(spec, probe, options.ReadyBound, cancellationToken);
    }

    private Dictionary<string, string> EnvironmentOf(TopologyService service)
    {
        Dictionary<string, string> environment = new(StringComparer.Ordinal);
        string[] urls = [.. service.Bindings.Where(binding => binding.Protocol == "http").Select(binding => AddressOf(service, binding))];
        if (urls.Length > 0)
        {
            environment["ASPNETCORE_URLS"] = string.Join(';', urls);
        }

        foreach (TopologyVariable variable in service.Environment)
        {
            string? value = variable.Value is { } text
                ? TopologyTokens.Replace(text, PortOf, name => environment.GetValueOrDefault(name))
                : given.GetValueOrDefault(variable.Name) ?? Environment.GetEnvironmentVariable(variable.Name);
            environment[variable.Name] = value
                ?? throw new TopologyException($"'{service.Name}' takes {variable.Name} from the environment, where it is not set");
        }

        return environment;
    }

    private int PortOf(string service, string? binding) => boundPorts.TryGetValue((service, binding), out int port)
        ? port
        : throw new TopologyException($"'{service}' has no binding '{binding ?? "without a name"}'");

    private string AddressOf(TopologyService service, TopologyBinding binding)
    {
        string address = string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{PortOf(service.Name, binding.Name)}");
        return binding.Protocol == "http" ? "http://" + address : address;
    }

    private void WriteFiles()
    {
        StringBuilder environment = new();
        foreach (string name in (string[])["SpecMesh__Bus", "SpecMesh__Store", "SpecMesh__ClusterKey"])
        {
            if (given.TryGetValue(name, out string? value))
            {
                environment.Append(name).Append('=').Append(value).Append('\n');
            }
        }

        PrivateFiles.Write(options.State.EnvironmentFile, environment.ToString());
        Dictionary<string, string> services = addresses.Where(address => address.Protocol == "http").ToDictionary(address => address.Service, address => address.Address);
        UpFile file = new(Environment.ProcessId, services.GetValueOrDefault("gateway"), options.State.ApiKeyFile, options.State.EnvironmentFile, services);
        file.Write(options.State.UpFile);
    }

    private static string WithoutCredentials(string url) =>
        Uri.TryCreate(url, UriKind.Absolute, out Uri? uri) ? string.Create(CultureInfo.InvariantCulture, $"{uri.Host}:{uri.Port}") : "(as given)";
}
