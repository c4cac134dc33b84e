using SpecMesh.Contracts;
using SpecMesh.DataPath;

namespace SpecMesh.Protocol.Tests.Hosts;

/// <summary>
/// A guest on a host. It outlives the agent. Its memory is a handful of pages, each one number; it writes to them whenever somebody touches it while it runs, which is often enough
/// for every race between writing, harvesting and reading.
/// </summary>
internal sealed class Guest(SimulatedHost host, string vmId, Guid operationId, int replica, int epoch, int pageCount) : IDirtyLog
{
    private readonly PageBitmap dirty = new(pageCount);

    public SimulatedHost Host { get; } = host;

    public string VmId { get; } = vmId;

    /// <summary>The operation and replica that it was built for.</summary>
    public Guid OperationId { get; } = operationId;

    public int Replica { get; } = replica;

    /// <summary>Epoch that the operation was opened in.</summary>
    public int Epoch { get; } = epoch;

    /// <summary>True when it was built with the machine's first state and not to receive an image.</summary>
    public bool PoweredOn { get; init; }

    /// <summary>True: it is believed to stand still, and runs. A mutation.</summary>
    public bool OnlySeemsToStand { get; set; }

    /// <summary>How it stands; null once it is gone.</summary>
    public GuestState? State { get; private set; } = GuestState.Paused;

    /// <summary>The memory.</summary>
    public ulong[] Pages { get; } = new ulong[pageCount];

    /// <summary>True while the log is kept.</summary>
    public bool Tracking { get; private set; }

    /// <summary>True: the next harvest clears the log and loses what was in it.</summary>
    public Func<bool> HarvestFails { get; set; } = () => false;

    /// <summary>Who uses the one dirty log; null when nobody does.</summary>
    public object? LogUser { get; set; }

    public string Name => "simulated";

    /// <summary>What the agent that watches it is told when it ends, by that agent.</summary>
    public Action? Exited { get; set; }

    /// <summary>True when the page has been written since the last harvest.</summary>
    public bool IsDirty(int page) => dirty[page];

    /// <summary>It goes over into another state; the checker is asked first.</summary>
    public void Become(GuestState? next)
    {
        Host.Cluster.Truth.Changing(this, next);
        State = next;
        if (next is null)
        {
            Host.Guests.Remove(this);
            Exited?.Invoke();
        }
    }

    /// <summary>The guest has run since somebody last looked.</summary>
    public void RunOn()
    {
        if (State != GuestState.Running && !(OnlySeemsToStand && State == GuestState.Suspended))
        {
            return;
        }

        int writes = Host.Cluster.GuestRandom.NextInt(Host.Cluster.WritesOf(VmId));
        for (int i = 0; i < writes; i++)
        {
            int page = Host.Cluster.GuestRandom.NextInt(pageCount);
            Pages[page] = Host.Cluster.GuestRandom.NextUInt64();
            if (Tracking)
            {
                dirty.Set(page);
            }
        }
    }

    public void Start()
    {
        Tracking = true;
        dirty.Clear();
    }

    public void Harvest(PageBitmap into)
    {
        RunOn();
        if (HarvestFails())
        {
            dirty.Clear();
            throw new DirtyLogException("The simulated log has overflowed.");
        }

        into.Or(dirty);
        dirty.Clear();
    }

    public void Stop()
    {
        Tracking = false;
        dirty.Clear();
    }

    public void Dispose() => Stop();

    /// <summary>Digest of a memory: one of its pages differs, or none.</summary>
    public static string DigestOf(ReadOnlySpan<ulong> pages)
    {
        ulong sum = 0;
        for (int page = 0; page < pages.Length; page++)
        {
            sum += PageHash.Bind(page, pages[page]);
        }

        return sum.ToString("x16", System.Globalization.CultureInfo.InvariantCulture);
    }
}
