using SpecMesh.Contracts;

namespace SpecMesh.Hypervisors.Process;

/// <summary>Snapshots of processes. All of a guest's execution state is in its memory, so its memory is all that is kept.</summary>
public sealed partial class ProcessHypervisor : ISnapshots, IReconfigure
{
    private const string NoProcessors = "a guest of the process driver is one thread that writes at a given rate; it has no processors to set";
    private const string FixedMemory = "the memory of a guest of the process driver is registered with its dirty tracker as a whole; its size cannot change";

    private readonly SnapshotDirectory snapshots;

    // Two restores of one machine must not both find that it is not here.
    private readonly SemaphoreSlim restoring = new(1, 1);

    public async Task<Snapshot> SaveAsync(IGuest guest, string snapshot, CancellationToken cancellationToken)
    {
        ProcessGuest saved = Own(guest);
        long bytes = ProcessSnapshot.FileBytes(saved.Record.MemoryBytes);
        string path = await snapshots.WriteAsync(snapshot, bytes, part => Task.Run(() => ProcessSnapshot.Write(part, saved, cancellationToken), cancellationToken));
        return ProcessSnapshot.Describe(path, snapshot);
    }

    public Task<IGuest> RestoreAsync(string snapshot, GuestTag tag, CancellationToken cancellationToken) => BuildFromAsync(
        snapshot,
        tag,
        machine => machine == tag.VmId ? null : $"Snapshot {snapshot} is of {machine} and cannot be restored as {tag.VmId}; it can be cloned.",
        cancellationToken);

    public Task<IGuest> CloneAsync(string snapshot, GuestTag tag, CancellationToken cancellationToken) => BuildFromAsync(
        snapshot,
        tag,
        machine => machine != tag.VmId ? null : $"Snapshot {snapshot} is of {machine}: a clone needs a name of its own.",
        cancellationToken);

    public Task<IReadOnlyList<Snapshot>> ListSnapshotsAsync(CancellationToken cancellationToken) => Task.Run<IReadOnlyList<Snapshot>>(
        () => [.. snapshots.List().Select(name => ProcessSnapshot.Describe(snapshots.Find(name), name))], cancellationToken);

    public Task RemoveSnapshotAsync(string snapshot, CancellationToken cancellationToken) => Task.Run(() => snapshots.Remove(snapshot), cancellationToken);

    public Task SetProcessorsAsync(IGuest guest, int count, CancellationToken cancellationToken) => throw new HypervisorException($"Refused: {NoProcessors}.");

    public Task SetMemoryAsync(IGuest guest, long bytes, CancellationToken cancellationToken) => throw new HypervisorException($"Refused: {FixedMemory}.");

    private async Task<IGuest> BuildFromAsync(string snapshot, GuestTag tag, Func<string, string?> refusal, CancellationToken cancellationToken)
    {
        SnapshotDirectory.RequireName(tag.VmId, "machine's id");
        string path = snapshots.Find(snapshot);
        Snapshot found = ProcessSnapshot.Describe(path, snapshot);
        if (refusal(found.VmId) is { } reason)
        {
            throw new HypervisorException(reason);
        }

        string tracker = await TrackerAsync(cancellationToken);
        await restoring.WaitAsync(cancellationToken);
        try
        {
            RequireAbsent(tag.VmId);
            ProcessGuest guest = await BuildAsync(new GuestSpec(tag, new VmDefinition(found.MemoryBytes)), tracker, powerOn: false, cancellationToken);
            try
            {
                await Task.Run(() => ProcessSnapshot.Load(path, guest.Memory, cancellationToken), cancellationToken);
                return guest;
            }
            catch
            {
                await guest.DestroyAsync(CancellationToken.None);
                throw;
            }
        }
        finally
        {
            restoring.Release();
        }
    }

    private void RequireAbsent(string vmId)
    {
        string boot = ProcFs.BootId();
        GuestRecord? here = store.Load().FirstOrDefault(record =>
            record.Tag.VmId == vmId && record.BootId == boot && ProcFs.Read(record.Pid) is { HasEnded: false } process && process.StartTime == record.StartTime);
        if (here is not null)
        {
            throw new HypervisorException($"A guest of {vmId} is on this host already: {here.Name}.");
        }
    }

    private static ProcessGuest Own(IGuest guest) =>
        guest as ProcessGuest ?? throw new ArgumentException($"The guest of {guest.Tag.VmId} is not one of the process driver.", nameof(guest));
}
