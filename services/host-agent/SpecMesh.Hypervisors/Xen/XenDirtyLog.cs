using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Native;
using SpecMesh.Hypervisors.Xen.Format;
using SpecMesh.Hypervisors.Xen.Native;

namespace SpecMesh.Hypervisors.Xen;

/// <summary>
/// The hypervisor's dirty log of one domain. There is one per domain in the whole host, and whoever reads it clears it, so it must have one owner: it is not taken from another
/// program, and a log that another program has turned off is noticed. What the control domain writes into the rings of a domain's console and store, and the hypervisor into its words of
/// events, is not in it, and need not be: a receiver clears the rings, and a domain that is resumed elsewhere begins anew with its events.
/// </summary>
/// <param name="host">The host.</param>
/// <param name="domainId">The domain.</param>
/// <param name="layout">Which page frames it has.</param>
/// <param name="closing">Done when the log is disposed.</param>
internal sealed class XenDirtyLog(XenHost host, int domainId, MemoryLayout layout, Action? closing = null) : IDirtyLog
{
    private readonly HypercallBuffer frames = new((layout.PfnCount + 7) / 8);
    private bool started;
    private IDisposable? claim;

    public string Name => "xen-log-dirty";

    /// <summary>Says in the store that the log is this driver's. An agent that comes after a crash finds it on.</summary>
    private string Mark => XenHost.PathOf(domainId, "dirty-log");

    /// <summary>Finds out that no other program reads the dirty log, before something that turns it off at its end: <c>xl save</c> does (<c>cleanup</c> of <c>tools/libs/guest/xg_sr_save.c</c>).</summary>
    /// <exception cref="DirtyLogException">Another program reads it, or there is none.</exception>
    public static void RequireUnread(XenHost host, int domainId, MemoryLayout layout)
    {
        using XenDirtyLog log = new(host, domainId, layout);
        log.TurnOn();
        log.Stop();
    }

    public void Start()
    {
        claim ??= host.DirtyLogs.Take(domainId, "a migration");
        TurnOn();
    }

    private void TurnOn()
    {
        try
        {
            if (host.Control.Find(domainId) is not { IsHvm: true })
            {
                throw new DirtyLogException($"Domain {domainId} is a PV domain or gone: the hypervisor keeps a dirty log only of domains with hardware-assisted paging, of type pvh.");
            }

            if (!host.Control.EnableLogDirty(domainId))
            {
                TakeOver();
            }

            host.Store.Write(Mark, "on");
            started = true;
        }
        catch (NativeException refusal)
        {
            throw new DirtyLogException($"The hypervisor keeps no dirty log of domain {domainId}: {refusal.Message}", refusal);
        }
    }

    public void Harvest(PageBitmap into)
    {
        if (into.PageCount != layout.PageCount)
        {
            throw new ArgumentException($"A bitmap of {into.PageCount} pages does not fit a guest of {layout.PageCount}.", nameof(into));
        }

        try
        {
            bool final = host.Control.Find(domainId) is { Suspended: true };
            host.Control.CleanLogDirty(domainId, frames, layout.PfnCount, final);

            // Off, the log reads as all clean, without an error. That it can be turned on again shows that it was off.
            if (host.Control.EnableLogDirty(domainId))
            {
                throw new DirtyLogException($"Another program has turned off the dirty log of domain {domainId}.");
            }
        }
        catch (Exception failure) when (failure is NativeException or HypervisorException)
        {
            throw new DirtyLogException($"The dirty log of domain {domainId} cannot be read: {failure.Message}", failure);
        }

        if (FrameBitmap.OrInto(into, frames.Words((int)((layout.PfnCount + 63) / 64)), layout) is { } stray)
        {
            throw new DirtyLogException($"Domain {domainId} has got memory at page frame {stray} since the migration began.");
        }
    }

    public void Stop()
    {
        try
        {
            TurnOff();
        }
        finally
        {
            claim?.Dispose();
            claim = null;
        }
    }

    private void TurnOff()
    {
        if (!started)
        {
            return;
        }

        started = false;
        try
        {
            host.Control.StopLogDirty(domainId);
            host.Store.Remove(Mark);
        }
        catch (NativeException) when (host.Control.Find(domainId) is null or { Dying: true })
        {
            // The log has gone with its domain.
            started = false;
        }
    }

    public void Dispose()
    {
        Stop();
        frames.Dispose();
        closing?.Invoke();
    }

    private void TakeOver()
    {
        if (host.Store.Read(Mark) is null)
        {
            throw new DirtyLogException($"Another program reads the dirty log of domain {domainId}, such as xl migrate or xl save: it has only one reader.");
        }

        // An earlier agent of this host has died with it on. Whatever is in it is not needed: everything is pending when a log starts.
        host.Control.StopLogDirty(domainId);
        if (!host.Control.EnableLogDirty(domainId))
        {
            throw new DirtyLogException($"Another program has turned the dirty log of domain {domainId} on.");
        }
    }
}
