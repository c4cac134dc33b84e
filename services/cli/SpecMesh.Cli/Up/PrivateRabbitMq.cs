using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace SpecMesh.Cli.Up;

/// <summary>
/// Debian's RabbitMQ, run as an unprivileged user on loopback, with a port mapper (epmd), a data directory and a password of its own.
/// Its ports are not shared with a broker that the machine may run otherwise.
/// </summary>
public sealed class PrivateRabbitMq
{
    private const string Server = "/usr/lib/rabbitmq/bin/rabbitmq-server";
    private const string UserName = "specmesh";

    private readonly string home;
    private readonly int port;
    private readonly UnixUser? user;
    private readonly string password;

    private PrivateRabbitMq(string home, int port, UnixUser? user, string password)
    {
        this.home = home;
        this.port = port;
        this.user = user;
        this.password = password;
    }

    /// <summary>True when the package <c>rabbitmq-server</c> is there.</summary>
    public static bool IsInstalled => File.Exists(Server);

    /// <summary>How programs connect; it holds the password.</summary>
    public string Url => string.Create(CultureInfo.InvariantCulture, $"rabbitmq://{UserName}:{password}@127.0.0.1:{port}/");

    /// <summary>Where it listens, without the password.</summary>
    public string Address => string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{port}");

    /// <summary>Starts it and waits until it speaks AMQP.</summary>
    /// <param name="supervisor">Keeps it running and stops it. The port mapper gets a stage before it.</param>
    /// <param name="state">Data, password and logs.</param>
    /// <param name="ports">Three ports are taken from here.</param>
    /// <param name="wishedPort">The broker's port, if it is free.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <exception cref="StartFailedException">It did not start.</exception>
    public static async Task<PrivateRabbitMq> StartAsync(
        Supervisor supervisor, StateDirectory state, LoopbackPorts ports, int? wishedPort, CancellationToken cancellationToken)
    {
        UnixUser? user = UnixUser.ForServer("rabbitmq");
        string home = state.ServerHome("rabbitmq", user);
        PrivateRabbitMq server = new(home, ports.Take(wishedPort), user, PrivateFiles.Secret(Path.Combine(state.Root, "rabbitmq-password")));
        server.WriteConfiguration();

        int mapperPort = ports.Take();
        Dictionary<string, string> environment = server.EnvironmentOf(mapperPort, ports.Take());
        string mapper = mapperPort.ToString(CultureInfo.InvariantCulture);
        ChildSpec epmd = new("epmd", "epmd", ["-address", "127.0.0.1", "-port", mapper], environment, "/", state.NewLog("epmd"), User: user);
        ChildSpec rabbit = new("rabbitmq", Server, [], environment, "/", state.NewLog("rabbitmq"), User: user);

        // The broker would start a port mapper of its own, which outlives it: one that already runs is one that can be stopped.
        await supervisor.StartAsync(epmd, token => AnswersAsync(mapperPort, [], 0, token), TimeSpan.FromSeconds(20), cancellationToken);
        supervisor.BeginStage();
        await supervisor.StartAsync(rabbit, server.ProbeAsync, TimeSpan.FromSeconds(120), cancellationToken);
        return server;
    }

    /// <summary>Null when the broker answers an AMQP 0-9-1 greeting with its <c>Connection.Start</c> frame; otherwise what is missing.</summary>
    public Task<string?> ProbeAsync(CancellationToken cancellationToken) => AnswersAsync(port, "AMQP\0\0\u0009\u0001"u8.ToArray(), 1, cancellationToken);

    private static async Task<string?> AnswersAsync(int port, byte[] greeting, byte firstByte, CancellationToken cancellationToken)
    {
        using CancellationTokenSource bound = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        bound.CancelAfter(TimeSpan.FromSeconds(5));
        try
        {
            using TcpClient client = new();
            await client.ConnectAsync(IPAddress.Loopback, port, bound.Token);
            if (greeting.Length == 0)
            {
                return null;
            }

            await client.GetStream().WriteAsync(greeting, bound.Token);
            byte[] answer = new byte[1];
            int read = await client.GetStream().ReadAsync(answer, bound.Token);
            return read == 1 && answer[0] == firstByte ? null : $"port {port} answers, but not with AMQP";
        }
        catch (SocketException exception)
        {
            return $"port {port}: {exception.Message}";
        }
        catch (IOException exception)
        {
            return $"port {port}: {exception.Message}";
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return $"port {port} does not answer";
        }
    }

    private void WriteConfiguration()
    {
        // A client on a crowded machine, or in an emulated one, may need longer than the usual ten seconds to log in, and each attempt costs it as much again.
        WriteFile("rabbit.conf", string.Create(CultureInfo.InvariantCulture, $"""
            listeners.tcp.1 = 127.0.0.1:{port}
            default_user = {UserName}
            default_pass = {password}
            handshake_timeout = 60000
            log.console = true
            log.console.level = info
            log.file = false

            """));
        WriteFile("enabled_plugins", "[].\n");
    }

    private void WriteFile(string name, string text)
    {
        string path = Path.Combine(home, name);
        PrivateFiles.Write(path, text);
        if (user is not null)
        {
            PrivateFiles.Give(path, user);
        }
    }

    private Dictionary<string, string> EnvironmentOf(int mapperPort, int distributionPort) => new()
    {
        ["HOME"] = home,
        ["LC_ALL"] = "C.UTF-8",
        ["RABBITMQ_NODENAME"] = "specmesh@localhost",
        ["RABBITMQ_NODE_PORT"] = port.ToString(CultureInfo.InvariantCulture),
        ["RABBITMQ_NODE_IP_ADDRESS"] = "127.0.0.1",
        ["RABBITMQ_DIST_PORT"] = distributionPort.ToString(CultureInfo.InvariantCulture),
        ["RABBITMQ_MNESIA_BASE"] = Path.Combine(home, "mnesia"),
        ["RABBITMQ_LOG_BASE"] = Path.Combine(home, "log"),
        ["RABBITMQ_LOGS"] = "-",
        ["RABBITMQ_ENABLED_PLUGINS_FILE"] = Path.Combine(home, "enabled_plugins"),
        ["RABBITMQ_CONFIG_FILE"] = Path.Combine(home, "rabbit.conf"),
        ["RABBITMQ_PID_FILE"] = Path.Combine(home, "pid"),
        ["RABBITMQ_CONF_ENV_FILE"] = "/dev/null",
        ["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] = "-kernel inet_dist_use_interface {127,0,0,1}",
        ["ERL_EPMD_PORT"] = mapperPort.ToString(CultureInfo.InvariantCulture),
        ["ERL_EPMD_ADDRESS"] = "127.0.0.1",
        // Makes the start script become the Erlang machine instead of keeping a shell above it, so that the child's process id is the broker's.
        ["RUNNING_UNDER_SYSTEMD"] = "true",
    };
}
