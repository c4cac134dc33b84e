using System.Diagnostics;
using System.Globalization;
using SpecMesh.DataPath;
using SpecMesh.DataPath.Bench;

// Usage: tests/bench data-path [MiB of guest memory] [share of pages that are not zero] [KiB per record]
// Prints parts of the work on one core, and whole images over loopback to 1, 2, 3 and 5 targets. Processor time counts both ends; it is the figure to trust on a busy machine.
CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
int mebibytes = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 256;
double share = args.Length > 1 ? double.Parse(args[1], CultureInfo.InvariantCulture) : 1.0;
int chunkBytes = (args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : 512) * 1024;

ArrayGuest guest = new(mebibytes * 256);
guest.Populate(share, seed: 1);
byte[] page = guest.Bytes[..IGuestMemory.PageBytes].ToArray();
byte[] zero = new byte[IGuestMemory.PageBytes];
Console.WriteLine($"page hash          {Nanoseconds(() => PageHash.Compute(page)),7:F0} ns/page");
Console.WriteLine($"zero test, zero    {Nanoseconds(() => zero.AsSpan().ContainsAnyExcept((byte)0) ? 1UL : 0UL),7:F0} ns/page");
PageBitmap from = new(262_144), into = new(262_144);
Console.WriteLine($"or of a bitmap     {Nanoseconds(() => Or(into, from)),7:F0} ns/GiB of guest");

foreach (int replicas in (int[])[1, 1, 2, 3, 5])
{
    await RaceAsync(replicas);
}

async Task RaceAsync(int replicas)
{
    DirtyLogOwner owner = new(guest, guest.PageCount, TimeProvider.System, DirtyLogOwner.DefaultReuse);
    await using MigrationListener listener = MigrationListener.Start(new MigrationListenerOptions(), TimeProvider.System);
    List<MigrationSender> senders = [];
    List<ArrayGuest> shells = [];
    Guid operationId = Guid.NewGuid();
    for (int replica = 0; replica < replicas; replica++)
    {
        ReplicaIdentity identity = new(new ReplicaKey(operationId, replica, 1), "bench", guest.MemoryBytes);
        byte[] token = ReplicaToken.Derive(new byte[32], identity);
        ArrayGuest shell = new((int)guest.PageCount);
        shell.Fill(0xAA);
        shells.Add(shell);
        listener.Expect(identity, token, shell);
        senders.Add(await MigrationSender.ConnectAsync(new MigrationSenderOptions(listener.Endpoint, identity, token, owner, guest, TimeProvider.System) { ChunkBytes = chunkBytes }, default));
    }

    TimeSpan cpu = Process.GetCurrentProcess().TotalProcessorTime;
    long started = Stopwatch.GetTimestamp();
    await Task.WhenAll(senders.Select(sender => sender.RunRoundAsync(default)));
    double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
    double cpuSeconds = (Process.GetCurrentProcess().TotalProcessorTime - cpu).TotalSeconds;
    double senderSeconds = senders.Sum(sender => sender.Counters.CpuMs) / 1000;
    owner.BeginSuspend(0);
    owner.FinalHarvest(0);
    long suspended = Stopwatch.GetTimestamp();
    await Task.WhenAll(senders.Select(sender => sender.FinishAsync(0, 1, default)));
    double finishMs = Stopwatch.GetElapsedTime(suspended).TotalMilliseconds;
    bool equal = shells.TrueForAll(shell => guest.Bytes.SequenceEqual(shell.Bytes));
    double gibibytes = mebibytes / 1024.0 * replicas;
    Console.WriteLine(
        $"{replicas} targets: {gibibytes / seconds,5:F2} GiB/s together, {cpuSeconds / gibibytes,5:F3} cpu s/GiB of both ends, {senderSeconds / gibibytes,5:F3} of the sender, finish of an idle guest {finishMs,6:F1} ms, images equal: {equal}");
    foreach (MigrationSender sender in senders)
    {
        await sender.DisposeAsync();
    }
}

static ulong Or(PageBitmap into, PageBitmap from)
{
    into.Or(from);
    return 0;
}

static double Nanoseconds(Func<ulong> work)
{
    const int times = 20_000;
    double best = double.MaxValue;
    ulong sink = 0;
    for (int repeat = 0; repeat < 10; repeat++)
    {
        long started = Stopwatch.GetTimestamp();
        for (int i = 0; i < times; i++)
        {
            sink += work();
        }

        best = Math.Min(best, Stopwatch.GetElapsedTime(started).TotalNanoseconds / times);
    }

    GC.KeepAlive(sink);
    return best;
}
