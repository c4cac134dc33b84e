using System.Diagnostics;
using System.Globalization;

namespace SpecMesh.Cli.Up;

/// <summary>Debian's PostgreSQL, run as an unprivileged user on a loopback port, with a cluster directory and a password of its own.</summary>
public sealed class PrivatePostgres
{
    private const string Packages = "/usr/lib/postgresql";
    private const string UserName = "specmesh";
    private const string Database = "specmesh";

    private readonly string programs;
    private readonly string home;
    private readonly int port;
    private readonly UnixUser? user;
    private readonly string password;

    private PrivatePostgres(string programs, string home, int port, UnixUser? user, string password)
    {
        this.programs = programs;
        this.home = home;
        this.port = port;
        this.user = user;
        this.password = password;
    }

    /// <summary>True when a package <c>postgresql-N</c> is there.</summary>
    public static bool IsInstalled => FindPrograms() is not null;

    /// <summary>How programs connect; it holds the password.</summary>
    public string Url => string.Create(CultureInfo.InvariantCulture, $"postgres://{UserName}:{password}@127.0.0.1:{port}/{Database}");

    /// <summary>Where it listens, without the password.</summary>
    public string Address => string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{port}");

    private string Cluster => Path.Combine(home, "cluster");

    /// <summary>Creates the cluster where there is none, starts it, and waits until its database accepts connections.</summary>
    /// <param name="supervisor">Keeps it running and stops it.</param>
    /// <param name="state">Data, password and logs.</param>
    /// <param name="ports">One port is taken from here.</param>
    /// <param name="wishedPort">The server's port, if it is free.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <exception cref="StartFailedException">It did not start.</exception>
    public static async Task<PrivatePostgres> StartAsync(
        Supervisor supervisor, StateDirectory state, LoopbackPorts ports, int? wishedPort, CancellationToken cancellationToken)
    {
        UnixUser? user = UnixUser.ForServer("postgres");
        string programs = FindPrograms() ?? throw new StartFailedException("PostgreSQL is not installed");
        string password = PrivateFiles.Secret(Path.Combine(state.Root, "postgres-password"));
        PrivatePostgres server = new(programs, state.ServerHome("postgres", user), ports.Take(wishedPort), user, password);
        if (!Directory.Exists(server.Cluster))
        {
            await server.CreateClusterAsync(cancellationToken);
        }

        string port = server.port.ToString(CultureInfo.InvariantCulture);
        string[] arguments = ["-D", server.Cluster, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200"];
        Dictionary<string, string> environment = new() { ["HOME"] = server.home, ["LC_ALL"] = "C.UTF-8" };

        // INT is PostgreSQL's fast shutdown; TERM would wait for clients that may never leave.
        ChildSpec postgres = new("postgres", Path.Combine(programs, "postgres"), arguments, environment, "/", state.NewLog("postgres"), "INT", user);
        await supervisor.StartAsync(postgres, server.ProbeAsync, TimeSpan.FromSeconds(60), cancellationToken);
        await server.CreateDatabaseAsync(cancellationToken);
        return server;
    }

    /// <summary>Null when the server accepts connections; otherwise what is missing.</summary>
    public async Task<string?> ProbeAsync(CancellationToken cancellationToken)
    {
        (int status, string output) = await RunAsync("pg_isready", ["-h", "127.0.0.1", "-p", port.ToString(CultureInfo.InvariantCulture)], cancellationToken);
        return status == 0 ? null : output.Trim();
    }

    private static string? FindPrograms() => !Directory.Exists(Packages)
        ? null
        : Directory.EnumerateDirectories(Packages)
            .Where(directory => int.TryParse(Path.GetFileName(directory), NumberStyles.None, CultureInfo.InvariantCulture, out _))
            .OrderByDescending(directory => int.Parse(Path.GetFileName(directory), CultureInfo.InvariantCulture))
            .Select(directory => Path.Combine(directory, "bin"))
            .FirstOrDefault(directory => File.Exists(Path.Combine(directory, "initdb")));

    private async Task CreateClusterAsync(CancellationToken cancellationToken)
    {
        string passwordFile = Path.Combine(home, "password");
        PrivateFiles.Write(passwordFile, password + "\n");
        if (user is not null)
        {
            PrivateFiles.Give(passwordFile, user);
        }

        // The cluster gets its name when it is complete: an initdb that was killed leaves nothing that looks like a cluster.
        string unfinished = Cluster + ".new";
        if (Directory.Exists(unfinished))
        {
            Directory.Delete(unfinished, recursive: true);
        }

        string[] arguments = ["-D", unfinished, "-U", UserName, "-A", "scram-sha-256", "--pwfile", passwordFile, "-E", "UTF8", "--locale=C.UTF-8"];
        (int status, string output) = await RunAsync("initdb", arguments, cancellationToken);
        File.Delete(passwordFile);
        if (status != 0)
        {
            throw new StartFailedException($"initdb ended with status {status}:\n{output}");
        }

        Directory.Move(unfinished, Cluster);
    }

    private async Task CreateDatabaseAsync(CancellationToken cancellationToken)
    {
        string[] connection = ["-h", "127.0.0.1", "-p", port.ToString(CultureInfo.InvariantCulture), "-U", UserName];
        (int status, string output) = await RunAsync(
            "psql", [.. connection, "-d", "postgres", "-X", "-A", "-t", "-c", $"select 1 from pg_database where datname = '{Database}'"], cancellationToken);
        if (status == 0 && output.Trim() != "1")
        {
            (status, output) = await RunAsync("createdb", [.. connection, Database], cancellationToken);
        }

        if (status != 0)
        {
            throw new StartFailedException($"PostgreSQL runs, but its database cannot be created:\n{output}");
        }
    }

    private async Task<(int Status, string Output)> RunAsync(string program, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        ProcessStartInfo info = new("setpriv") { WorkingDirectory = "/", RedirectStandardOutput = true, RedirectStandardError = true };
        if (user is not null)
        {
            info.ArgumentList.Add(string.Create(CultureInfo.InvariantCulture, $"--reuid={user.Uid}"));
            info.ArgumentList.Add(string.Create(CultureInfo.InvariantCulture, $"--regid={user.Gid}"));
            info.ArgumentList.Add("--clear-groups");
        }

        foreach (string argument in (string[])["--", Path.Combine(programs, program), .. arguments])
        {
            info.ArgumentList.Add(argument);
        }

        info.Environment["PGPASSWORD"] = password;
        info.Environment["LC_ALL"] = "C.UTF-8";
        info.Environment["HOME"] = home;
        using Process process = Process.Start(info) ?? throw new InvalidOperationException($"{program} could not be started");
        Task<string> error = process.StandardError.ReadToEndAsync(cancellationToken);
        string output = await process.StandardOutput.ReadToEndAsync(cancellationToken);
        await process.WaitForExitAsync(cancellationToken);
        return (process.ExitCode, output + await error);
    }
}
