using System.Security.Cryptography;
using SpecMesh.DataPath;
using SpecMesh.DataPath.Tests;
using SpecMesh.Hypervisors.Xen.Format;

namespace SpecMesh.Hypervisors.Tests.Xen;

/// <summary>
/// One pre-copy to several stock receivers at once: the real data path with one dirty-log owner at the source, and behind each target's checks a migration stream of its own in
/// Xen's format. Whatever the guest writes, and whenever, every replica that lives to the end has it.
/// </summary>
public sealed class XenFanOutTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData(1, ZeroPages.AsData)]
    [InlineData(2, ZeroPages.AsAllocations)]
    [InlineData(3, ZeroPages.AsData)]
    [InlineData(4, ZeroPages.AsAllocations)]
    [InlineData(5, ZeroPages.AsAllocations)]
    public async Task a_page_dirtied_during_any_round_reaches_every_replica_that_lives(int seed, ZeroPages zeroPages)
    {
        Random random = new(seed);
        int replicas = random.Next(2, 5);
        await using XenRace race = new(zeroPages, seed);
        for (int i = 0; i < replicas; i++)
        {
            await race.JoinAsync();
        }

        int lost = random.Next(replicas);
        for (int round = 0; round < 4; round++)
        {
            // The replicas are out of step on purpose: some begin a round while others are in the middle of theirs, and one joins late.
            XenTarget[] next = [.. race.Living.Where(_ => random.Next(3) > 0)];
            await Task.WhenAll(next.Select(target => target.Sender.RunRoundAsync(Deadline())));
            if (round == 1)
            {
                await race.LoseAsync(lost);
                await race.JoinAsync();
            }
        }

        race.Suspend();
        await Task.WhenAll(race.Living.Select(target => target.Sender.FinishAsync(0, 1, Deadline())));

        Assert.True(race.GuestWrites > 100, $"The guest wrote {race.GuestWrites} pages: too few to show anything.");
        Assert.Equal(replicas, race.Living.Count);
        foreach (XenTarget target in race.Living)
        {
            XenStreamReader read = XenStreamReader.Read(target.End());
            SyntheticDomain.MustEqual(read, race.Guest.Bytes);
        }
    }

    private static CancellationToken Deadline() => new CancellationTokenSource(Patience).Token;

    private sealed record XenTarget(MigrationSender Sender, MigrationReceiver Receiver, XenStreamWriter Writer, MemoryStream Output)
    {
        public byte[] End()
        {
            Writer.WriteTail(SyntheticDomain.State);
            return Output.ToArray();
        }
    }

    private sealed class XenRace : IAsyncDisposable
    {
        private static readonly byte[] ClusterKey = SHA256.HashData("the key of the tests"u8);
        private readonly Guid operationId = Guid.NewGuid();
        private readonly List<XenTarget> targets = [];
        private readonly HashSet<XenTarget> lost = [];
        private readonly DirtyLogOwner owner;
        private readonly MigrationListener listener = MigrationListener.Start(new MigrationListenerOptions(), TimeProvider.System);
        private readonly ZeroPages zeroPages;
        private readonly Random random;
        private int guestWrites;
        private bool suspended;

        public XenRace(ZeroPages zeroPages, int seed)
        {
            this.zeroPages = zeroPages;
            random = new Random(seed);
            Guest = new SimulatedGuest(SyntheticDomain.Layout.PageCount);
            Guest.Populate(seed);
            owner = new DirtyLogOwner(Guest, Guest.PageCount, TimeProvider.System, TimeSpan.Zero);
            Guest.BeforeRead = GuestGoesOn;
        }

        public SimulatedGuest Guest { get; }

        public int GuestWrites => Volatile.Read(ref guestWrites);

        public List<XenTarget> Living => [.. targets.Where(target => !lost.Contains(target))];

        public async Task JoinAsync()
        {
            ReplicaIdentity identity = new(new ReplicaKey(operationId, targets.Count, 7), "vm-1", Guest.MemoryBytes);
            byte[] token = ReplicaToken.Derive(ClusterKey, identity);
            MemoryStream output = new();
            XenStreamWriter writer = new(output, SyntheticDomain.PfnCount, zeroPages);
            writer.WriteHead(SyntheticDomain.Setup);
            MigrationReceiver receiver = listener.Expect(identity, token, new ShellOf(new XenImageSink(writer, SyntheticDomain.Layout)));
            MigrationSenderOptions options = new(listener.Endpoint, identity, token, owner, Guest, TimeProvider.System) { ChunkBytes = 64 * 1024 };
            targets.Add(new XenTarget(await MigrationSender.ConnectAsync(options, Deadline()), receiver, writer, output));
        }

        public async Task LoseAsync(int index)
        {
            lost.Add(targets[index]);
            await targets[index].Sender.DisposeAsync();
            await targets[index].Receiver.DisposeAsync();
        }

        public void Suspend()
        {
            suspended = true;
            owner.BeginSuspend(0);
            owner.FinalHarvest(0);
        }

        public async ValueTask DisposeAsync()
        {
            foreach (XenTarget target in targets)
            {
                await target.Sender.DisposeAsync();
                await target.Receiver.DisposeAsync();
            }

            await listener.DisposeAsync();
        }

        /// <summary>Before a sender reads pages the guest writes some: pages that this pass has sent already, is about to send, and has nothing to do with. Some become zero.</summary>
        private void GuestGoesOn(long firstPage)
        {
            lock (random)
            {
                for (int i = 0; !suspended && i < 3; i++)
                {
                    long page = i == 0 ? firstPage : random.NextInt64(Guest.PageCount);
                    ulong value = random.Next(3) == 0 ? 0 : (ulong)random.NextInt64(1, long.MaxValue);
                    Guest.GuestWrites(page, random.Next(500) * sizeof(ulong), value);
                    guestWrites++;
                }
            }
        }
    }
}
