using System.Globalization;
using SpecMesh.Hypervisors.Xen.Format;

namespace SpecMesh.Hypervisors.Xen;

/// <summary>
/// Processors and memory of running domains. Both are wishes that a driver in the domain fulfils, so each is followed until the hypervisor sees it fulfilled; one that is not is
/// taken back.
/// </summary>
/// <param name="xl">Xen's command line.</param>
/// <param name="memory">What the host can give.</param>
/// <param name="time">Clock for the limit.</param>
internal sealed class XenReconfigure(XlCommand xl, FreeMemory memory, TimeProvider time)
{
    // The hypervisor counts a few pages that are no memory of the domain's own: for its console, its store and its start.
    private const long PagesBeside = 512;
    private const long KbPerPage = 4;

    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(50);

    /// <summary>How long a domain may take to follow.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(60);

    /// <param name="domainId">The domain.</param>
    /// <param name="count">Processors.</param>
    /// <param name="online">How many the domain runs on now.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async Task SetProcessorsAsync(int domainId, int count, Func<int> online, CancellationToken cancellationToken)
    {
        int most = (await xl.ReadConfigurationAsync(domainId, cancellationToken)).MaxProcessors;
        if (count < 1 || count > most)
        {
            throw new HypervisorException($"Domain {domainId} was built for 1 to {most} processors; {count} it cannot have.");
        }

        int before = online();
        await SetOnlineAsync(domainId, count, cancellationToken);
        if (!await FollowsAsync(() => online() == count, cancellationToken))
        {
            int now = online();
            await SetOnlineAsync(domainId, before, CancellationToken.None);
            throw new HypervisorException($"Domain {domainId} runs on {now} processors and not on {count}: nothing in it follows, such as udev, which turns new processors on. The wish is taken back.");
        }
    }

    /// <param name="domainId">The domain.</param>
    /// <param name="bytes">Memory.</param>
    /// <param name="pages">How many pages the domain has now.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async Task SetMemoryAsync(int domainId, long bytes, Func<long> pages, CancellationToken cancellationToken)
    {
        const long megabyte = 1 << 20;
        LibxlConfiguration configuration = await xl.ReadConfigurationAsync(domainId, cancellationToken);
        long most = configuration.MaxMemoryKb * 1024;
        if (bytes <= 0 || bytes % megabyte != 0 || bytes > most)
        {
            throw new HypervisorException($"Domain {domainId} was built for up to {most} bytes of memory; {bytes} is more, or no multiple of {megabyte}.");
        }

        long wanted = bytes / 1024 / KbPerPage;
        long before = pages();
        if (wanted > before)
        {
            await memory.RequireAsync((wanted - before) * KbPerPage * 1024, cancellationToken);
        }

        // It sets the hypervisor's own limit for the domain as well, so that a domain which has given memory back cannot take it again.
        await SetTargetAsync(domainId, bytes / 1024, cancellationToken);
        if (!await FollowsAsync(() => pages() is var now && now >= wanted && now <= wanted + PagesBeside, cancellationToken))
        {
            long now = pages();
            await SetTargetAsync(domainId, configuration.TargetMemoryKb, CancellationToken.None);
            throw new HypervisorException($"Domain {domainId} has {now * KbPerPage} KiB of memory and not {bytes / 1024}: no driver in it follows. The wish is taken back.");
        }
    }

    /// <summary>The machine may have more processors than the host, for it was built so.</summary>
    private Task<string> SetOnlineAsync(int domainId, int count, CancellationToken cancellationToken) =>
        xl.RunAsync(["vcpu-set", "--ignore-host", domainId.ToString(CultureInfo.InvariantCulture), count.ToString(CultureInfo.InvariantCulture)], cancellationToken);

    private Task<string> SetTargetAsync(int domainId, long kb, CancellationToken cancellationToken) =>
        xl.RunAsync(["mem-set", domainId.ToString(CultureInfo.InvariantCulture), string.Create(CultureInfo.InvariantCulture, $"{kb / 1024}m")], cancellationToken);

    private async Task<bool> FollowsAsync(Func<bool> fulfilled, CancellationToken cancellationToken)
    {
        long began = time.GetTimestamp();
        while (!fulfilled())
        {
            if (time.GetElapsedTime(began) > Patience)
            {
                return false;
            }

            await Task.Delay(Poll, time, cancellationToken);
        }

        return true;
    }
}
