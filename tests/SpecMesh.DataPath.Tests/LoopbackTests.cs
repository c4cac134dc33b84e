namespace SpecMesh.DataPath.Tests;

/// <summary>Whole migrations over loopback sockets.</summary>
public sealed class LoopbackTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(5)]
    public async Task every_completed_target_has_the_guests_memory_while_the_guest_writes(int replicas)
    {
        await using Race race = new(pages: 1024, seed: replicas);
        List<Target> targets = [];
        for (int i = 0; i < replicas; i++)
        {
            targets.Add(await race.JoinAsync());
        }

        using CancellationTokenSource stop = new();
        Task writing = Task.Run(() => Write(race.Guest, stop.Token));
        for (int round = 0; round < 4; round++)
        {
            RoundResult[] results = await Task.WhenAll(targets.Select(target => target.Sender.RunRoundAsync(Race.Deadline())));
            Assert.All(results, result => Assert.Equal(round + 1, result.Round));
        }

        await stop.CancelAsync();
        await writing;
        race.Suspend(incarnation: 0);
        ReadyResult[] ready = await Task.WhenAll(targets.Select(target => target.Sender.FinishAsync(0, Race.Deadline())));
        Assert.Single(ready.Select(result => result.Digest).Distinct());
        Assert.All(targets, target => target.MustEqual(race.Guest));
    }

    private static void Write(SimulatedGuest guest, CancellationToken stop)
    {
        Random random = new(7);
        for (ulong i = 1; !stop.IsCancellationRequested; i++)
        {
            guest.GuestWrites(random.NextInt64(guest.PageCount), 8 * random.Next(512), i);
        }
    }
}
