using Microsoft.Win32.SafeHandles;
using SpecMesh.Hypervisors.Native;

namespace SpecMesh.Hypervisors;

/// <summary>
/// The files of a driver's snapshots, in one folder: <c>{name}.snapshot</c>. A file gets this name only when all of it is on disk, so that nothing half written is ever taken for a
/// snapshot. A machine's memory holds its secrets: folder and files are for the agent's user alone.
/// </summary>
internal sealed class SnapshotDirectory(string folder)
{
    private const string Extension = ".snapshot";
    private const string UnfinishedExtension = ".part";
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly string folder = Path.GetFullPath(folder);
    private readonly HashSet<string> unfinished = new(StringComparer.Ordinal);
    private readonly Lock gate = new();

    /// <summary>Tries whether a snapshot could be written.</summary>
    /// <returns>Why not; null when it could.</returns>
    public string? Test()
    {
        string probe = Path.Combine(folder, Guid.NewGuid().ToString("N") + UnfinishedExtension);
        try
        {
            RequireFolder();
            using (FileStream file = Create(probe))
            {
                file.Write("snapshot"u8);
                file.Flush(flushToDisk: true);
            }

            File.Delete(probe);
            return null;
        }
        catch (Exception refusal) when (refusal is IOException or UnauthorizedAccessException or HypervisorException)
        {
            return refusal.Message;
        }
    }

    /// <summary>Has a snapshot written, and gives the file its name when all of it is on disk.</summary>
    /// <param name="name">Name of the snapshot.</param>
    /// <param name="bytes">Bytes that it will need at most.</param>
    /// <param name="write">Fills the file at the path that it is given, which exists and is empty.</param>
    /// <exception cref="HypervisorException">The name is none or is in use, or there is no room for it.</exception>
    public async Task<string> WriteAsync(string name, long bytes, Func<string, Task> write)
    {
        RequireName(name, "snapshot's name");
        string path = PathOf(name);
        string part = path + UnfinishedExtension;
        RequireFolder();
        RequireRoom(bytes);
        Begin(part, () =>
        {
            if (File.Exists(path) || unfinished.Contains(part))
            {
                throw new HypervisorException($"There is a snapshot {name} already; it is not replaced.");
            }
        });
        try
        {
            await write(part);
            Complete(part, path);
            return path;
        }
        catch
        {
            File.Delete(part);
            throw;
        }
        finally
        {
            Forget(part);
        }
    }

    /// <summary>The file of a snapshot that there is.</summary>
    /// <exception cref="HypervisorException">There is none of this name.</exception>
    public string Find(string name)
    {
        RequireName(name, "snapshot's name");
        string path = PathOf(name);
        return File.Exists(path) ? path : throw new HypervisorException($"There is no snapshot {name} in {folder}.");
    }

    /// <summary>The names of all snapshots, in order. Removes what an agent that died had half written.</summary>
    public IReadOnlyList<string> List()
    {
        if (!Directory.Exists(folder))
        {
            return [];
        }

        lock (gate)
        {
            foreach (string part in Directory.GetFiles(folder, "*" + UnfinishedExtension).Where(part => !unfinished.Contains(part)))
            {
                File.Delete(part);
            }
        }

        return [.. Directory.GetFiles(folder, "*" + Extension).Select(NameOf).Order(StringComparer.Ordinal)];
    }

    public void Remove(string name)
    {
        RequireName(name, "snapshot's name");
        if (Directory.Exists(folder))
        {
            File.Delete(PathOf(name));
            Flush(folder);
        }
    }

    /// <summary>Puts a text into a file of this folder while something is done with it.</summary>
    public async Task WithTextAsync(string text, Func<string, Task> use)
    {
        RequireFolder();
        string part = Path.Combine(folder, Guid.NewGuid().ToString("N") + UnfinishedExtension);
        Begin(part, () => { });
        try
        {
            await File.WriteAllTextAsync(part, text);
            await use(part);
        }
        finally
        {
            File.Delete(part);
            Forget(part);
        }
    }

    /// <summary>Names become parts of paths, of command lines and of Xen's own names: they hold nothing that means something there.</summary>
    /// <exception cref="HypervisorException">It is none.</exception>
    public static void RequireName(string name, string what)
    {
        if (name.Length is 0 or > 63 || name[0] == '-' || name.Any(c => c is not ((>= 'a' and <= 'z') or (>= '0' and <= '9') or '-')))
        {
            throw new HypervisorException($"A {what} is 1 to 63 of a-z, 0-9 and -, and does not begin with -.");
        }
    }

    private string PathOf(string name) => Path.Combine(folder, name + Extension);

    private static string NameOf(string path) => Path.GetFileName(path)[..^Extension.Length];

    private void RequireRoom(long bytes)
    {
        long available = new DriveInfo(folder).AvailableFreeSpace;
        if (bytes > available)
        {
            throw new HypervisorException($"{folder} has {available} bytes left; a snapshot of {bytes} does not fit.");
        }
    }

    /// <summary>Makes an empty file that is this process's own. One of this name was begun by an agent that died; whatever still writes to it writes to a file without a name from now on.</summary>
    private void Begin(string part, Action require)
    {
        lock (gate)
        {
            require();
            File.Delete(part);
            Create(part).Dispose();
            unfinished.Add(part);
        }
    }

    private void Forget(string part)
    {
        lock (gate)
        {
            unfinished.Remove(part);
        }
    }

    private void Complete(string part, string path)
    {
        Flush(part);
        File.Move(part, path, overwrite: false);
        Flush(folder);
    }

    private static FileStream Create(string path)
    {
        FileStreamOptions options = new() { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = OwnerOnly;
        }

        return new FileStream(path, options);
    }

    private static void Flush(string path)
    {
        using SafeFileHandle handle = Libc.OpenForReading(path);
        RandomAccess.FlushToDisk(handle);
    }

    private void RequireFolder()
    {
        if (OperatingSystem.IsWindows())
        {
            throw new PlatformNotSupportedException("Snapshots are kept on Linux hosts.");
        }

        Directory.CreateDirectory(folder, OwnerOnly | UnixFileMode.UserExecute);
        UnixFileMode mode = File.GetUnixFileMode(folder);
        if ((mode & ~(OwnerOnly | UnixFileMode.UserExecute)) != 0)
        {
            throw new HypervisorException($"{folder} is open to others ({mode}): a snapshot holds all that its machine has in memory. Its mode must be 0700.");
        }
    }
}
