using System.Security.Cryptography;
using System.Text;

namespace SpecMesh.Cli.Up;

/// <summary>Where a running system keeps its keys, logs and data; one system per directory.</summary>
public sealed class StateDirectory : IDisposable
{
    private readonly FileStream held;

    private StateDirectory(string path, FileStream held)
    {
        Root = path;
        this.held = held;
    }

    /// <summary>Absolute path.</summary>
    public string Root { get; }

    /// <summary>Where logs go.</summary>
    public string Logs => Path.Combine(Root, "logs");

    /// <summary>The ledger of processes.</summary>
    public string Ledger => Path.Combine(Root, "processes.json");

    /// <summary>Secret that agents show to replication-policy.</summary>
    public string ClusterKeyFile => Path.Combine(Root, "cluster-key");

    /// <summary>Secret that the gateway shows to the services behind it.</summary>
    public string GatewayKeyFile => Path.Combine(Root, "gateway-key");

    /// <summary>Secret that callers show to the gateway.</summary>
    public string ApiKeyFile => Path.Combine(Root, "api-key");

    /// <summary>Addresses of the running system; absent while none runs.</summary>
    public string UpFile => UpFileIn(Root);

    /// <summary>Environment variables that connect further programs to the running system: it holds passwords. Absent while none runs.</summary>
    public string EnvironmentFile => Path.Combine(Root, "environment");

    private string SharedServerHome => Path.Combine("/var/lib/specmesh", Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Root)))[..16]);

    /// <summary>The state directory that is meant when none is named: <c>SPECMESH_STATE</c>, else <c>.state/up</c> beside <c>tye.yaml</c>.</summary>
    public static string Default()
    {
        if (Environment.GetEnvironmentVariable("SPECMESH_STATE") is { Length: > 0 } given)
        {
            return Path.GetFullPath(given);
        }

        return Path.Combine(Repository.Root() ?? Environment.CurrentDirectory, ".state", "up");
    }

    /// <summary>Where a state directory's addresses are.</summary>
    public static string UpFileIn(string root) => Path.Combine(root, "up.json");

    /// <summary>Creates the directory, or takes an existing one, and holds it until disposal.</summary>
    /// <exception cref="TopologyException">Another process holds it.</exception>
    public static StateDirectory Take(string path)
    {
        string root = Path.GetFullPath(path);
        PrivateFiles.CreateDirectory(root, owner: null);
        PrivateFiles.CreateDirectory(Path.Combine(root, "logs"), owner: null);
        try
        {
            FileStream held = new(Path.Combine(root, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            return new StateDirectory(root, held);
        }
        catch (IOException exception)
        {
            throw new TopologyException($"another specmesh up uses {root}; stop it, or give this one a directory of its own with --state", exception);
        }
    }

    /// <summary>
    /// A directory for a server's data. A server that runs as another user cannot pass through a private directory of root, so then it is
    /// <c>/var/lib/specmesh/KEY/NAME</c>, where KEY is derived from the state directory's path.
    /// </summary>
    public string ServerHome(string name, UnixUser? owner)
    {
        string home = Path.Combine(Root, name);
        if (owner is not null)
        {
            Directory.CreateDirectory(SharedServerHome);
            home = Path.Combine(SharedServerHome, name);
        }

        PrivateFiles.CreateDirectory(home, owner);
        return home;
    }

    /// <summary>Deletes the data of servers that run as other users, which lie outside this directory. They must not run.</summary>
    public void DeleteServerHomes()
    {
        if (Directory.Exists(SharedServerHome))
        {
            Directory.Delete(SharedServerHome, recursive: true);
        }
    }

    /// <summary>A fresh, empty log file.</summary>
    public string NewLog(string name)
    {
        string file = Path.Combine(Logs, name + ".log");
        File.Delete(file);
        return file;
    }

    public void Dispose() => held.Dispose();
}
