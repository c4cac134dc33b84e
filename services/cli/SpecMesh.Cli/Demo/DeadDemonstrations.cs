namespace SpecMesh.Cli.Demo;

/// <summary>
/// A guest outlives its agent, and so it outlives a demonstration that was killed. The next one ends what such a demonstration left: a directory whose lock nobody holds.
/// </summary>
internal static class DeadDemonstrations
{
    private const string Prefix = "specmesh-demo-";
    private const string LockName = "lock";

    /// <summary>A directory of this demonstration's own, and the lock that says that it lives.</summary>
    public static (string Directory, FileStream Held) Take()
    {
        string directory = Directory.CreateTempSubdirectory(Prefix).FullName;
        return (directory, new FileStream(Path.Combine(directory, LockName), FileMode.Create, FileAccess.ReadWrite, FileShare.None));
    }

    /// <summary>Ends guests and deletes directories of demonstrations that are no more.</summary>
    public static async Task SweepAsync(CancellationToken cancellationToken)
    {
        foreach (string directory in Directory.EnumerateDirectories(Path.GetTempPath(), Prefix + "*"))
        {
            FileStream held;
            try
            {
                held = new FileStream(Path.Combine(directory, LockName), FileMode.Open, FileAccess.ReadWrite, FileShare.None);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                // It runs, it is just being made or deleted, or it is another user's.
                continue;
            }

            using (held)
            {
                Dictionary<string, string> hosts = new DirectoryInfo(directory).EnumerateDirectories("host-*").ToDictionary(host => host.Name, host => host.FullName, StringComparer.Ordinal);
                await new HostInspection(hosts).DestroyAllAsync(null, cancellationToken);
                Directory.Delete(directory, recursive: true);
            }
        }
    }
}
