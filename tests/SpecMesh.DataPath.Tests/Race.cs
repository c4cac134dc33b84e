using System.Security.Cryptography;

namespace SpecMesh.DataPath.Tests;

/// <summary>One simulated guest, a dirty-log owner, and as many targets on loopback as a test wants.</summary>
internal sealed class Race : IAsyncDisposable
{
    /// <summary>Generous, because it only ends tests that would hang.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private static readonly byte[] ClusterKey = SHA256.HashData("the key of the tests"u8);

    private readonly List<Target> targets = [];

    public Race(long pages, int seed = 1, TimeSpan? reuse = null)
    {
        Guest = new SimulatedGuest(pages);
        Guest.Populate(seed);
        Owner = new DirtyLogOwner(Guest, pages, TimeProvider.System, reuse ?? TimeSpan.Zero);
        Listener = MigrationListener.Start(new MigrationListenerOptions(), TimeProvider.System);
    }

    public SimulatedGuest Guest { get; }

    public DirtyLogOwner Owner { get; }

    public MigrationListener Listener { get; }

    public Guid OperationId { get; } = Guid.NewGuid();

    /// <summary>What the guest's driver says before the first page.</summary>
    public byte[] Setup { get; init; } = [];

    /// <summary>What it says when the guest stands still.</summary>
    public Func<byte[]>? ReadState { get; set; }

    public static CancellationToken Deadline() => new CancellationTokenSource(Patience).Token;

    public ReplicaIdentity Identity(int replica) => new(new ReplicaKey(OperationId, replica, 7), "vm-1", Guest.MemoryBytes);

    public static byte[] Token(ReplicaIdentity identity) => ReplicaToken.Derive(ClusterKey, identity);

    /// <summary>A target with a shell full of rubbish, and a sender connected to it.</summary>
    public async Task<Target> JoinAsync(ReceiverFaults? faults = null, int chunkBytes = 64 * 1024, Action<ImageCompleted>? keep = null, Action<string, CancellationToken>? during = null)
    {
        ReplicaIdentity identity = Identity(targets.Count);
        SimulatedGuest shell = new(Guest.PageCount);
        shell.Populate(1000 + targets.Count);
        ShellOf image = during is null ? new(shell) : new(shell) { During = during };
        MigrationReceiver receiver = Listener.Expect(identity, Token(identity), image, faults, keep);
        MigrationSender sender = await MigrationSender.ConnectAsync(
            new MigrationSenderOptions(Listener.Endpoint, identity, Token(identity), Owner, Guest, TimeProvider.System) { ChunkBytes = chunkBytes, Setup = Setup, ReadState = ReadState }, Deadline());
        Target target = new(sender, receiver, shell, image);
        targets.Add(target);
        return target;
    }

    public void Suspend(int incarnation)
    {
        Owner.BeginSuspend(incarnation);
        Owner.FinalHarvest(incarnation);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (Target target in targets)
        {
            await target.Sender.DisposeAsync();
            await target.Receiver.DisposeAsync();
        }

        await Listener.DisposeAsync();
    }
}

/// <summary>Both ends of one migration stream.</summary>
internal sealed record Target(MigrationSender Sender, MigrationReceiver Receiver, SimulatedGuest Shell, ShellOf Image)
{
    public void MustEqual(SimulatedGuest guest) => Assert.True(guest.Bytes.SequenceEqual(Shell.Bytes), "The target's image differs from the guest's memory.");

    /// <summary>Reads events until one of this type comes.</summary>
    public async Task<T> NextAsync<T>()
        where T : ReceiverEvent
    {
        await foreach (ReceiverEvent happened in Receiver.Events.ReadAllAsync(Race.Deadline()))
        {
            if (happened is T wanted)
            {
                return wanted;
            }
        }

        throw new InvalidOperationException($"The events ended without a {typeof(T).Name}.");
    }
}
