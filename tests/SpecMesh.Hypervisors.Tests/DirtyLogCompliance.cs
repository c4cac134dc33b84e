using SpecMesh.DataPath;

namespace SpecMesh.Hypervisors.Tests;

/// <summary>What every dirty log promises, tried on a guest that writes as fast as it can: an image that is kept up to date by the log alone equals the memory.</summary>
public abstract class DirtyLogCompliance(HostUnderTest host) : OnHost(host)
{
    private const double Saturated = 1e9;
    private const long PageCount = 2048;
    private static readonly CancellationToken None = CancellationToken.None;

    [TrackerFact]
    public async Task no_page_is_lost_over_many_harvests_and_stops()
    {
        IGuest guest = await Host.RunAsync(Saturated, PageCount);
        using IDirtyLog log = guest.OpenDirtyLog();
        Image image = new(Host, guest);
        log.Start();
        image.CopyAll();
        for (int stop = 0; stop < Host.Times(40); stop++)
        {
            for (int round = 0; round < 10; round++)
            {
                image.Update(log);
            }

            await Host.WaitForStepsAsync(guest, 1);
            await guest.SuspendAsync(None);
            image.Update(log);
            Assert.Empty(image.WrongPages());
            await guest.ResumeAsync(None);
        }

        Assert.True(image.PagesCopied > Host.Times((int)PageCount), "Too little was written to show anything.");
    }

    [TrackerFact]
    public async Task what_was_harvested_while_the_guest_stood_still_is_tracked_again_when_it_goes_on()
    {
        IGuest guest = await Host.RunAsync(Saturated, PageCount);
        using IDirtyLog log = guest.OpenDirtyLog();
        Image image = new(Host, guest);
        log.Start();
        image.CopyAll();
        for (int stop = 0; stop < Host.Times(20); stop++)
        {
            await Host.WaitForStepsAsync(guest, 200);
            await guest.SuspendAsync(None);
            image.Update(log);
            Assert.True(Harvest(log, guest.Memory.PageCount).IsEmpty, "A page was reported twice of a guest that stands still.");
            Assert.Empty(image.WrongPages());
            await guest.ResumeAsync(None);
        }
    }

    [TrackerFact]
    public async Task a_log_begun_while_the_guest_stands_still_loses_nothing()
    {
        IGuest guest = await Host.RunAsync(Saturated, PageCount);
        await Host.WaitForStepsAsync(guest, 200);
        await guest.SuspendAsync(None);
        using IDirtyLog log = guest.OpenDirtyLog();
        log.Start();
        Image image = new(Host, guest);
        image.CopyAll();
        await guest.ResumeAsync(None);
        await Host.WaitForStepsAsync(guest, 200);
        image.Update(log);
        await Host.WaitForStepsAsync(guest, 200);
        await guest.SuspendAsync(None);
        image.Update(log);

        Assert.Empty(image.WrongPages());
    }

    [TrackerFact]
    public async Task a_stopped_log_can_be_started_again_also_by_another_agent()
    {
        IGuest first = await Host.RunAsync(Saturated, PageCount);
        using (IDirtyLog log = first.OpenDirtyLog())
        {
            log.Start();
            await Host.WaitForStepsAsync(first, 200);
            Harvest(log, first.Memory.PageCount);
            log.Stop();
        }

        await first.DisposeAsync();
        IGuest guest = Assert.Single(await Host.FindAsync());
        await Host.WaitForStepsAsync(guest, 200);
        using IDirtyLog again = guest.OpenDirtyLog();
        Image image = new(Host, guest);
        again.Start();
        image.CopyAll();
        await Host.WaitForStepsAsync(guest, 200);
        await guest.SuspendAsync(None);
        image.Update(again);

        Assert.Empty(image.WrongPages());
    }

    [TrackerFact]
    public async Task a_guest_that_writes_nothing_is_reported_to_have_written_nothing()
    {
        IGuest guest = await Host.BuildAsync(Host.Spec());
        using IDirtyLog log = guest.OpenDirtyLog();
        log.Start();

        Assert.True(Harvest(log, guest.Memory.PageCount).IsEmpty);
    }

    [TrackerFact]
    public async Task the_log_of_a_guest_that_is_gone_throws_instead_of_reporting_nothing()
    {
        IGuest guest = await Host.RunAsync(Saturated, PageCount);
        using IDirtyLog log = guest.OpenDirtyLog();
        log.Start();
        long pages = guest.Memory.PageCount;
        await Host.KillAsync(guest);

        Assert.Throws<DirtyLogException>(() => Harvest(log, pages));
        await guest.DestroyAsync(None);
        Assert.Throws<DirtyLogException>(() => Harvest(log, pages));
    }

    [TrackerFact]
    public async Task a_bitmap_of_another_size_is_not_accepted()
    {
        IGuest guest = await Host.BuildAsync(Host.Spec());
        using IDirtyLog log = guest.OpenDirtyLog();
        log.Start();

        Assert.Throws<ArgumentException>(() => log.Harvest(new PageBitmap(guest.Memory.PageCount + 1)));
    }

    private static PageBitmap Harvest(IDirtyLog log, long pageCount)
    {
        PageBitmap pages = new(pageCount);
        log.Harvest(pages);
        return pages;
    }

    /// <summary>A copy of a guest's memory, brought up to date as a migration would: harvest, then read.</summary>
    private sealed class Image(HostUnderTest host, IGuest guest)
    {
        private readonly byte[] bytes = new byte[guest.Memory.PageCount * IGuestMemory.PageBytes];

        public long PagesCopied { get; private set; }

        public void CopyAll() => guest.Memory.Read(0, bytes);

        public void Update(IDirtyLog log)
        {
            PageBitmap pages = Harvest(log, guest.Memory.PageCount);
            for ((long first, int count) = pages.NextRun(0, 256); count > 0; (first, count) = pages.NextRun(first + count, 256))
            {
                guest.Memory.Read(first, bytes.AsSpan((int)first * IGuestMemory.PageBytes, count * IGuestMemory.PageBytes));
                PagesCopied += count;
            }
        }

        public List<long> WrongPages()
        {
            byte[] now = HostUnderTest.Copy(guest);
            List<long> wrong = [];
            for (int at = 0; at < now.Length; at += IGuestMemory.PageBytes)
            {
                ReadOnlySpan<byte> had = bytes.AsSpan(at, IGuestMemory.PageBytes);
                ReadOnlySpan<byte> has = now.AsSpan(at, IGuestMemory.PageBytes);
                if (!has.SequenceEqual(had) && !host.IsOfTheHost(guest, at / IGuestMemory.PageBytes, had, has))
                {
                    wrong.Add(at / IGuestMemory.PageBytes);
                }
            }

            return wrong;
        }
    }
}
