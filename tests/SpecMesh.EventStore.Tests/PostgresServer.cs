using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Npgsql;

namespace SpecMesh.EventStore.Tests;

/// <summary>
/// The server that the tests of this run share: the one that SPECMESH_TEST_POSTGRES names (its role must be allowed to create databases and to end their sessions, and
/// max_prepared_transactions be above 0), else a private one on a free loopback port, stopped and deleted at the end.
/// Every test gets a database of its own.
/// </summary>
public sealed class PostgresServer : IAsyncLifetime
{
    private const string Variable = "SPECMESH_TEST_POSTGRES";

    private readonly string folder = Path.Combine(Path.GetTempPath(), $"specmesh-pg-{Guid.NewGuid():N}");
    private string admin = Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } given ? StoreConnection.PostgresConnectionString(given) : "";
    private bool started;
    private int databases;

    /// <summary>Why there is no server; null when there is one.</summary>
    public static string? WhyNot { get; } = Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } || Binaries() is not null
        ? null
        : $"no PostgreSQL: {Variable} is not set and there is no /usr/lib/postgresql/*/bin/initdb";

    /// <summary>PostgreSQL refuses to run as root. Its package makes a user; where only the programs were unpacked, nobody will do.</summary>
    private static string ServerUser => File.ReadLines("/etc/passwd").Any(line => line.StartsWith("postgres:", StringComparison.Ordinal)) ? "postgres" : "nobody";

    public async Task InitializeAsync()
    {
        if (WhyNot is not null || admin.Length > 0)
        {
            return;
        }

        Directory.CreateDirectory(folder);
        if (Environment.IsPrivilegedProcess)
        {
            await RunAsync("chown", ServerUser, folder);
        }

        int port = FreePort();
        string data = Path.Combine(folder, "data");
        await RunAsServerAsync("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync");
        await RunAsServerAsync(
            "pg_ctl", "-D", data, "-w", "-l", Path.Combine(folder, "log"), "-o",
            $"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c max_connections=200 -c max_prepared_transactions=4 -c timezone=UTC", "start");
        started = true;
        admin = $"Host=127.0.0.1;Port={port.ToString(CultureInfo.InvariantCulture)};Username=postgres;Database=postgres;Include Error Detail=true";
    }

    public async Task DisposeAsync()
    {
        if (started)
        {
            await RunAsServerAsync("pg_ctl", "-D", Path.Combine(folder, "data"), "-m", "immediate", "-w", "stop");
        }

        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Creates an empty database.</summary>
    /// <returns>Its connection string.</returns>
    public async Task<string> CreateDatabaseAsync()
    {
        string name = $"specmesh_{Environment.ProcessId}_{Interlocked.Increment(ref databases)}";
        await using NpgsqlDataSource source = NpgsqlDataSource.Create(admin);
        await using NpgsqlCommand create = source.CreateCommand($"create database {name}");
        await create.ExecuteNonQueryAsync();
        return new NpgsqlConnectionStringBuilder(admin) { Database = name, MaxPoolSize = 20 }.ToString();
    }

    /// <summary>Drops a database with everybody who is still connected to it.</summary>
    public async Task DropDatabaseAsync(string connectionString)
    {
        string name = new NpgsqlConnectionStringBuilder(connectionString).Database!;
        await using NpgsqlDataSource source = NpgsqlDataSource.Create(admin);
        await using NpgsqlCommand drop = source.CreateCommand($"drop database {name} with (force)");
        await drop.ExecuteNonQueryAsync();
    }

    private static string? Binaries() => !Directory.Exists("/usr/lib/postgresql")
        ? null
        : Directory.GetDirectories("/usr/lib/postgresql").Select(version => Path.Combine(version, "bin")).Where(bin => File.Exists(Path.Combine(bin, "initdb"))).Order(StringComparer.Ordinal).LastOrDefault();

    private static int FreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private Task RunAsServerAsync(string program, params string[] arguments)
    {
        string path = Path.Combine(Binaries()!, program);
        return Environment.IsPrivilegedProcess
            ? RunAsync("setpriv", [$"--reuid={ServerUser}", "--clear-groups", path, .. arguments])
            : RunAsync(path, arguments);
    }

    private async Task RunAsync(string program, params string[] arguments)
    {
        // The server inherits the outputs of pg_ctl. In a file they neither fill a pipe nor hold this process back.
        string log = Path.Combine(folder, "programs.log");
        using Process process = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", "log=\"$1\"; shift; exec \"$@\" >>\"$log\" 2>&1", "sh", log, program, .. arguments]) { WorkingDirectory = "/" })
            ?? throw new InvalidOperationException($"{program} did not start.");
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}: {await File.ReadAllTextAsync(log)}");
        }
    }
}

[CollectionDefinition(Name)]
public sealed class PostgresCollection : ICollectionFixture<PostgresServer>
{
    public const string Name = "postgres";
}
