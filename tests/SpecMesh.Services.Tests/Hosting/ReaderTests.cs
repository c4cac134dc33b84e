using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using SpecMesh.EventStore;

namespace SpecMesh.Services.Tests.Hosting;

/// <summary>Subscriptions and views over all stored events.</summary>
public sealed class ReaderTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    [Fact]
    public async Task a_subscription_handles_every_event_once_across_restarts()
    {
        Seen<CounterChanged> sent = new();
        int failures = 1;
        async Task<Mesh> StartAsync() => await Mesh.StartAsync(
            builder => builder
                .Subscription("totals", (stored, context, _) =>
                {
                    if (Interlocked.Decrement(ref failures) >= 0)
                    {
                        throw new InvalidOperationException("broken on purpose, once");
                    }

                    CounterIncreased increased = (CounterIncreased)stored.Data;
                    context.Work.Send(new CounterChanged(increased.CounterId, increased.Total), "listeners");
                    return Task.CompletedTask;
                })
                .Endpoint("listeners", endpoint => endpoint.Receive<CounterChanged>((message, _, _) =>
                {
                    sent.Add(message);
                    return Task.CompletedTask;
                })),
            folder.Store);
        Guid id = Guid.NewGuid();

        await using (Mesh first = await StartAsync())
        {
            await AppendAsync(first.Store, id, 0);
            await AppendAsync(first.Store, id, 1);
            Assert.Equal([0, 1], (await sent.NextAsync(2)).Select(message => message.Total));
        }

        await using Mesh second = await StartAsync();
        await AppendAsync(second.Store, id, 2);
        Assert.Equal(2, (await sent.NextAsync()).Total);
        Assert.True(sent.IsEmpty);
    }

    [Fact]
    public async Task a_view_is_built_from_the_first_event_and_is_ready_once_it_has_caught_up()
    {
        Guid id = Guid.NewGuid();
        await using (Mesh first = await Mesh.StartAsync(_ => { }, folder.Store))
        {
            await AppendAsync(first.Store, id, 0);
            await AppendAsync(first.Store, id, 1);
        }

        Seen<long> applied = new();
        using ManualResetEventSlim release = new();
        await using Mesh second = await Mesh.StartAsync(
            builder => builder.View("totals", (_, stored) =>
            {
                release.Wait(Mesh.Patience);
                applied.Add(stored.Version);
            }),
            folder.Store);

        HealthReport before = await second.Services.GetRequiredService<HealthCheckService>().CheckHealthAsync();
        release.Set();
        await second.UntilReadyAsync();

        Assert.Equal(HealthStatus.Unhealthy, before.Entries["views"].Status);
        Assert.Equal([1L, 2L], await applied.NextAsync(2));
        await AppendAsync(second.Store, id, 2);
        Assert.Equal(3, await applied.NextAsync());
    }

    public void Dispose() => folder.Dispose();

    private static Task AppendAsync(IEventStore store, Guid id, int version) => store.CommitAsync(
        new Commit("counting", [new StreamAppend($"counter-{id:N}", "counter", version, [new CounterIncreased(id, 1, version)])], []), default);
}
