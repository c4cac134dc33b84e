using SpecMesh.Contracts;
using SpecMesh.DataPath;

namespace SpecMesh.Hypervisors.Xen;

/// <summary>What keeps a domain that is saved or changed, a migration of it, and whoever suspends and resumes it, out of each other's way.</summary>
internal sealed partial class XenGuest
{
    // After an xl that was ended, a suspend that it had asked for may still come.
    private static readonly TimeSpan LateSuspend = TimeSpan.FromSeconds(5);

    private volatile bool saving;

    /// <summary>Has the running domain written to a file, while nobody else suspends, resumes or migrates it.</summary>
    internal async Task<Snapshot> SaveAsync(Func<int, Task<Snapshot>> write)
    {
        Snapshot? saved = null;
        await CommandAsync(GuestState.Running, async () =>
        {
            using IDisposable claim = Claim(host, domainId, "a snapshot");
            RequireUnreadLog();
            saving = true;
            try
            {
                saved = await write(domainId);
            }
            catch
            {
                await LetGoOnAsync();
                throw;
            }
            finally
            {
                saving = false;
            }
        });
        return saved!;
    }

    /// <summary>The xl that would have let the domain go on has failed, or was ended. The domain may be about to suspend itself.</summary>
    private async Task LetGoOnAsync()
    {
        if (host.Control.Find(domainId) is { Dying: false, Ended: false, Suspended: false })
        {
            host.Store.Write($"/local/domain/{domainId}/control/shutdown", "");
        }

        long began = time.GetTimestamp();
        while (time.GetElapsedTime(began) < LateSuspend && host.Control.Find(domainId) is { Dying: false, Ended: false } domain)
        {
            if (domain.Suspended)
            {
                ResumeNow();
                return;
            }

            await Task.Delay(SuspendPoll, time, CancellationToken.None);
        }
    }

    private void RequireUnreadLog()
    {
        try
        {
            XenDirtyLog.RequireUnread(host, domainId, Known.Layout);
        }
        catch (DirtyLogException read)
        {
            throw new HypervisorException(read.Message, read);
        }
    }

    /// <summary>Does something to the running domain while nobody suspends it.</summary>
    internal Task ChangeAsync(Func<int, Task> change) => CommandAsync(GuestState.Running, () => change(domainId));

    /// <summary>Claims the domain's dirty log.</summary>
    /// <exception cref="HypervisorException">Something else of this agent needs it.</exception>
    internal static IDisposable Claim(XenHost host, int domainId, string what)
    {
        try
        {
            return host.DirtyLogs.Take(domainId, what);
        }
        catch (DirtyLogException taken)
        {
            throw new HypervisorException(taken.Message, taken);
        }
    }
}
