using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using SpecMesh.Hosting;

namespace SpecMesh.Services.Tests.Hosting;

/// <summary>
/// Seen in the crash matrix: after an orderly stop of the broker one service never got its bus back, because the library kept a connection that was closed, and nothing told its
/// supervisor.
/// </summary>
public sealed class BusWatchTests : IDisposable
{
    private readonly ManualTime time = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
    private readonly TcpListener broker = new(IPAddress.Loopback, 0);
    private bool ready = true;

    public BusWatchTests() => broker.Start();

    public void Dispose() => broker.Dispose();

    [Fact]
    public async Task a_bus_that_stays_away_while_the_broker_answers_is_lost()
    {
        using BusWatch watch = Watch();
        Assert.False(await watch.LookAsync(default));
        ready = false;
        Assert.False(await LookWithAnswerAsync(watch));
        time.Advance(BusWatch.Patience - TimeSpan.FromSeconds(1));
        Assert.False(await LookWithAnswerAsync(watch));
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.True(await LookWithAnswerAsync(watch));
    }

    [Fact]
    public async Task a_bus_whose_broker_is_away_or_that_comes_back_is_waited_for()
    {
        using BusWatch watch = Watch();
        await watch.LookAsync(default);
        ready = false;
        await LookWithAnswerAsync(watch);
        time.Advance(BusWatch.Patience);
        broker.Stop();
        Assert.False(await watch.LookAsync(default));
        time.Advance(BusWatch.Patience);
        Assert.False(await watch.LookAsync(default));
        ready = true;
        Assert.False(await watch.LookAsync(default));
    }

    [Fact]
    public async Task a_bus_that_was_never_there_is_not_lost()
    {
        ready = false;
        using BusWatch watch = Watch();
        Assert.False(await watch.LookAsync(default));
        time.Advance(BusWatch.Patience * 2);
        Assert.False(await watch.LookAsync(default));
    }

    private BusWatch Watch()
    {
        ushort port = (ushort)((IPEndPoint)broker.LocalEndpoint).Port;
        return new BusWatch(new BusUrl("127.0.0.1", port, "/", "guest", "guest", false), new BusGate(() => ready, time), () => { }, time, NullLogger<BusWatch>.Instance);
    }

    /// <summary>The broker reads the client's header, as AMQP has it, and begins its answer.</summary>
    private async Task<bool> LookWithAnswerAsync(BusWatch watch)
    {
        Task<bool> look = watch.LookAsync(default);
        using TcpClient client = await broker.AcceptTcpClientAsync();
        byte[] header = new byte[8];
        await client.GetStream().ReadExactlyAsync(header);
        Assert.Equal("AMQP\0\0\u0009\u0001"u8.ToArray(), header);
        await client.GetStream().WriteAsync(new byte[] { 1 });
        return await look;
    }
}
