using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using RabbitMQ.Client;

namespace SpecMesh.Services.Tests.Hosting;

/// <summary>A RabbitMQ broker of the tests' own, on free loopback ports, with its own home, node name and port mapper. Nothing of it survives the tests.</summary>
public sealed class RabbitBroker : IAsyncLifetime
{
    public const string Server = "/usr/lib/rabbitmq/bin/rabbitmq-server";
    private const string PortMapper = "/usr/bin/epmd";

    private readonly List<Process> processes = [];
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("specmesh-rabbit-");
    private readonly int port = FreePort();
    private readonly int nodePort = FreePort();
    private readonly int mapperPort = FreePort();

    public static bool IsInstalled => File.Exists(Server) && File.Exists(PortMapper);

    public string Url => $"rabbitmq://guest:guest@127.0.0.1:{port}/";

    public async Task InitializeAsync()
    {
        if (IsInstalled)
        {
            await StartAsync();
        }
    }

    public async Task StartAsync()
    {
        // The mapper is started here because the node would start one as a daemon that outlives it.
        Run(PortMapper, "-port", mapperPort.ToString(), "-address", "127.0.0.1").BeginOutputReadLine();
        TaskCompletionSource up = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Process server = Run(Server);
        server.OutputDataReceived += (_, line) =>
        {
            if (line.Data is null)
            {
                up.TrySetException(new InvalidOperationException("The broker ended before it was up."));
            }
            else if (line.Data.Contains("completed with", StringComparison.Ordinal))
            {
                up.TrySetResult();
            }
        };
        server.BeginOutputReadLine();
        await up.Task.WaitAsync(Mesh.Patience * 2);
    }

    public Task<IConnection> ConnectAsync() =>
        new ConnectionFactory { HostName = "127.0.0.1", Port = port, RequestedConnectionTimeout = Mesh.Patience, AutomaticRecoveryEnabled = false }.CreateConnectionAsync();

    public async Task DisposeAsync()
    {
        foreach (Process process in Enumerable.Reverse(processes))
        {
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync().WaitAsync(Mesh.Patience);
            process.Dispose();
        }

        folder.Delete(recursive: true);
    }

    private static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private Process Run(string program, params string[] arguments)
    {
        string enabled = Path.Combine(folder.FullName, "enabled_plugins");
        File.WriteAllText(enabled, "[].");
        ProcessStartInfo start = new(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        Dictionary<string, string> environment = new()
        {
            ["HOME"] = folder.FullName,
            ["RABBITMQ_NODENAME"] = $"specmesh{port}@localhost",
            ["RABBITMQ_NODE_PORT"] = port.ToString(),
            ["RABBITMQ_NODE_IP_ADDRESS"] = "127.0.0.1",
            ["RABBITMQ_DIST_PORT"] = nodePort.ToString(),
            ["RABBITMQ_MNESIA_BASE"] = Path.Combine(folder.FullName, "mnesia"),
            ["RABBITMQ_LOG_BASE"] = Path.Combine(folder.FullName, "log"),
            ["RABBITMQ_LOGS"] = Path.Combine(folder.FullName, "rabbit.log"),
            ["RABBITMQ_ENABLED_PLUGINS_FILE"] = enabled,
            ["RABBITMQ_CONFIG_FILE"] = Path.Combine(folder.FullName, "rabbit"),
            ["RABBITMQ_PID_FILE"] = Path.Combine(folder.FullName, "pid"),
            ["RABBITMQ_CONF_ENV_FILE"] = "/dev/null",
            ["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] = "-kernel inet_dist_use_interface {127,0,0,1}",
            ["ERL_EPMD_PORT"] = mapperPort.ToString(),
            ["ERL_EPMD_ADDRESS"] = "127.0.0.1",
        };
        foreach ((string name, string value) in environment)
        {
            start.Environment[name] = value;
        }

        Process process = Process.Start(start)!;
        process.ErrorDataReceived += (_, _) => { };
        process.BeginErrorReadLine();
        processes.Add(process);
        return process;
    }
}

/// <summary>A test that needs a broker; skipped by name where none is installed.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class RabbitFactAttribute : FactAttribute
{
    public RabbitFactAttribute()
    {
        if (!RabbitBroker.IsInstalled)
        {
            Skip = $"{RabbitBroker.Server} is not installed (apt-get install -y --no-install-recommends rabbitmq-server).";
        }
    }
}
