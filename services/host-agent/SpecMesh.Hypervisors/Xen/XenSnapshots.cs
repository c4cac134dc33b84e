using SpecMesh.Hypervisors.Xen.Format;

namespace SpecMesh.Hypervisors.Xen;

/// <summary>
/// Domains saved to files and built from them, by <c>xl save</c> and <c>xl restore</c>: the file is stock, and an operator can restore it without this driver. Nothing built here runs.
/// </summary>
/// <param name="xl">Xen's command line.</param>
/// <param name="memory">What the host can give.</param>
/// <param name="files">Where the files are.</param>
/// <param name="configurationDirectory">Holds one xl configuration per machine.</param>
internal sealed class XenSnapshots(XlCommand xl, FreeMemory memory, SnapshotDirectory files, string configurationDirectory) : IDisposable
{
    // A slow disk writes so many bytes in a second; below it something hangs.
    private const double SlowestBytesPerSecond = 10e6;

    // What a saved domain is beside its pages: its configuration, its processors' state, and a head of 8 bytes for each page.
    private const long RoomBeside = 16 << 20;

    // Two restores of one machine must not both find that it is not here.
    private readonly SemaphoreSlim restoring = new(1, 1);

    /// <summary>Refuses a machine of which the driver has a guest, also one under another name than the machine's.</summary>
    public Action<string> RequireNoGuest { get; init; } = _ => { };

    /// <summary>Takes down that a domain of this UUID is being built, until the answer is disposed.</summary>
    public Func<Guid, IDisposable>? Begin { get; init; }

    /// <summary>Writes a running domain to a file and lets it go on.</summary>
    public async Task<Snapshot> SaveAsync(int domainId, string vmId, string snapshot, CancellationToken cancellationToken)
    {
        LibxlConfiguration configuration = await xl.ReadConfigurationAsync(domainId, cancellationToken);
        RequirePvh(configuration, $"Domain {domainId}");
        if (configuration.Name != vmId)
        {
            throw new HypervisorException($"Domain {domainId} is called {configuration.Name}: it would be restored under that name, and not as {vmId}.");
        }

        long bytes = configuration.MaxMemoryKb * 1024;
        string path = await files.WriteAsync(
            snapshot,
            bytes + (bytes / 256) + RoomBeside,
            part => xl.RunAsync(["save", "-c", $"{domainId}", part], LimitFor(bytes), cancellationToken));
        return Describe(path, snapshot);
    }

    /// <summary>Builds the machine of a snapshot, paused.</summary>
    public async Task<RestoredDomain> RestoreAsync(string snapshot, string vmId, CancellationToken cancellationToken)
    {
        string path = files.Find(snapshot);
        LibxlConfiguration saved = XenSavedDomain.Read(path);
        if (saved.Name != vmId)
        {
            throw new HypervisorException($"Snapshot {snapshot} is of {saved.Name} and cannot be restored as {vmId}; it can be cloned.");
        }

        return await BuildAsync(saved, vmId, saved.Uuid, limit => xl.RunAsync(["restore", "-p", "-e", path], limit, cancellationToken), cancellationToken);
    }

    /// <summary>Builds another machine from a snapshot, paused: its own configuration says what devices it has, and its name and id are new.</summary>
    public async Task<RestoredDomain> CloneAsync(string snapshot, string vmId, CancellationToken cancellationToken)
    {
        SnapshotDirectory.RequireName(vmId, "machine's id");
        string path = files.Find(snapshot);
        LibxlConfiguration saved = XenSavedDomain.Read(path);
        if (saved.Name == vmId)
        {
            throw new HypervisorException($"Snapshot {snapshot} is of {vmId}: a clone needs a name of its own.");
        }

        string own = Path.Combine(configurationDirectory, vmId + ".cfg");
        if (!File.Exists(own))
        {
            throw new HypervisorException($"There is no {own}: it says what devices {vmId} has. With those of {saved.Name} both machines would write one disk.");
        }

        Guid uuid = Guid.NewGuid();
        string configuration = Configure(await File.ReadAllTextAsync(own, cancellationToken), vmId, uuid, saved);
        RestoredDomain? built = null;
        await files.WithTextAsync(configuration, async file =>
            built = await BuildAsync(saved, vmId, uuid, limit => xl.RunAsync(["restore", "-p", "-e", file, path], limit, cancellationToken), cancellationToken));
        return built!;
    }

    public IReadOnlyList<Snapshot> List() => [.. files.List().Select(name => Describe(files.Find(name), name))];

    public void Remove(string snapshot) => files.Remove(snapshot);

    /// <summary>Why snapshots cannot be kept here; null when they can.</summary>
    public string? Test() => files.Test();

    public void Dispose() => restoring.Dispose();

    /// <summary>A machine's configuration with what a snapshot fixes. Of two settings of one name xl takes the later.</summary>
    private static string Configure(string own, string vmId, Guid uuid, LibxlConfiguration saved) => $"""
        {own}
        name = "{vmId}"
        uuid = "{uuid}"
        memory = {saved.TargetMemoryKb / 1024}
        maxmem = {saved.MaxMemoryKb / 1024}
        vcpus = {saved.MaxProcessors}
        maxvcpus = {saved.MaxProcessors}

        """;

    private async Task<RestoredDomain> BuildAsync(LibxlConfiguration saved, string vmId, Guid uuid, Func<TimeSpan, Task> restore, CancellationToken cancellationToken)
    {
        RequirePvh(saved, "The snapshot's domain");
        await restoring.WaitAsync(cancellationToken);
        try
        {
            RequireNoGuest(vmId);
            await xl.RequireAbsentAsync(vmId, domain => domain.Name == vmId || domain.Uuid == uuid, cancellationToken);
            await memory.RequireAsync(FreeMemory.NeedOf(saved.MaxMemoryKb * 1024), cancellationToken);
            IDisposable? begun = Begin?.Invoke(uuid);
            try
            {
                await restore(LimitFor(saved.MaxMemoryKb * 1024));
                int domainId = (await xl.ListAsync(cancellationToken)).Single(domain => domain.Name == vmId).DomainId;
                return new RestoredDomain(domainId, saved.MaxMemoryKb * 1024, begun);
            }
            catch
            {
                await xl.DestroyPartsAsync(uuid);
                begun?.Dispose();
                throw;
            }
        }
        finally
        {
            restoring.Release();
        }
    }

    private static Snapshot Describe(string path, string name)
    {
        LibxlConfiguration saved = XenSavedDomain.Read(path);
        FileInfo file = new(path);
        return new Snapshot(name, saved.Name, saved.MaxMemoryKb * 1024, file.Length, file.LastWriteTimeUtc);
    }

    private static void RequirePvh(LibxlConfiguration configuration, string what)
    {
        if (configuration.Type != "pvh")
        {
            throw new HypervisorException($"{what} is of type {configuration.Type}: only domains of type pvh are saved and restored, because only those can be migrated.");
        }
    }

    private TimeSpan LimitFor(long bytes) => xl.Limit + TimeSpan.FromSeconds(bytes / SlowestBytesPerSecond);
}

/// <summary>A domain that was built from a snapshot.</summary>
/// <param name="DomainId">Its number on this host.</param>
/// <param name="MemoryBytes">Memory that its machine was built for.</param>
/// <param name="Begun">To be disposed when it is tagged, or gone.</param>
internal sealed record RestoredDomain(int DomainId, long MemoryBytes, IDisposable? Begun);
