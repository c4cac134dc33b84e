using Microsoft.Extensions.DependencyInjection;
using SpecMesh.EventStore;
using SpecMesh.Hosting;

namespace SpecMesh.Services.Tests.Hosting;

/// <summary>A saga instance is the fold of its event stream, over the bus and directly.</summary>
public sealed class SagaTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly Seen<CounterChanged> changed = new();

    [Fact]
    public async Task an_instance_equals_the_fold_of_its_events_after_a_restart()
    {
        Guid id = Guid.NewGuid();
        Guid neighbour = Guid.NewGuid();
        await using (Mesh first = await StartAsync())
        {
            await first.Bus.PublishAsync(new AddToCounter(id, 3), default);
            await first.Bus.PublishAsync(new AddToCounter(neighbour, 100), default);
            await changed.NextAsync(2);
        }

        await using Mesh second = await StartAsync();
        await second.Bus.PublishAsync(new AddToCounter(id, 4), default);

        Assert.Equal(new CounterChanged(id, 7), await changed.NextAsync());
        Assert.Equal(new Counter(id, 7), await Runner(second).ReadAsync(id, default));
        Assert.Equal([1L, 2L], (await EventsAsync(second, id)).Select(stored => stored.Version));
        Assert.Equal(new Counter(neighbour, 100), await Runner(second).ReadAsync(neighbour, default));
    }

    [Fact]
    public async Task the_direct_path_and_the_bus_reach_the_same_instance()
    {
        Guid id = Guid.NewGuid();
        await using Mesh mesh = await StartAsync();

        Counter direct = await Runner(mesh).HandleAndReadAsync(new AddToCounter(id, 5), default);
        await changed.NextAsync();
        await mesh.Bus.SendAsync("counters", new AddToCounter(id, 6), default);

        Assert.Equal(new Counter(id, 5), direct);
        Assert.Equal(new CounterChanged(id, 11), await changed.NextAsync());
    }

    [Fact]
    public async Task a_message_for_an_unknown_instance_is_decided_by_the_handler()
    {
        Seen<Counter> states = new();
        await using Mesh mesh = await Mesh.StartAsync(
            builder => builder.Saga(Counter.Definition, saga => saga.On<CounterDeadline>(
                deadline => deadline.CounterId,
                (state, _, _, _) =>
                {
                    states.Add(state);
                    return Task.CompletedTask;
                })),
            folder.Store);
        Guid id = Guid.NewGuid();

        await mesh.Bus.PublishAsync(new CounterDeadline(id, 0), default);

        Assert.Equal(new Counter(id, 0), await states.NextAsync());
        Assert.Empty(await EventsAsync(mesh, id));
    }

    [Fact]
    public async Task messages_of_one_instance_that_arrive_together_all_count()
    {
        const int Messages = 40;
        Guid id = Guid.NewGuid();
        await using Mesh mesh = await StartAsync();

        await Task.WhenAll(Enumerable.Range(0, Messages).Select(_ => mesh.Bus.PublishAsync(new AddToCounter(id, 1), default)));

        IReadOnlyList<CounterChanged> totals = await changed.NextAsync(Messages);
        Assert.Equal(Enumerable.Range(1, Messages), totals.Select(total => total.Total).Order());
        Assert.Equal(Messages, (await Runner(mesh).ReadAsync(id, default)).Total);
    }

    [Fact]
    public async Task a_lost_race_is_decided_again_on_the_new_state()
    {
        Guid id = Guid.NewGuid();
        IEventStore? store = null;
        int attempts = 0;
        await using Mesh mesh = await StartAsync(async (state, add, context, token) =>
        {
            if (Interlocked.Increment(ref attempts) == 1)
            {
                await store!.CommitAsync(new Commit("rival", [new StreamAppend(Counter.Definition.StreamId(id), "counter", 0, [new CounterIncreased(id, 50, 50)])], []), token);
            }

            Increase(state, add, context);
        });
        store = mesh.Store;

        await mesh.Bus.PublishAsync(new AddToCounter(id, 1), default);

        Assert.Equal(new CounterChanged(id, 51), await changed.NextAsync());
        Assert.Equal(2, attempts);
    }

    [Fact]
    public async Task a_direct_call_that_keeps_losing_the_race_throws_and_leaves_nothing()
    {
        Guid id = Guid.NewGuid();
        IEventStore? store = null;
        long version = 0;
        await using Mesh mesh = await StartAsync(
            async (state, add, context, token) =>
            {
                await store!.CommitAsync(new Commit("rival", [new StreamAppend(Counter.Definition.StreamId(id), "counter", version++, [new CounterIncreased(id, 1, 0)])], []), token);
                Increase(state, add, context);
            },
            attempts: 3);
        store = mesh.Store;

        await Assert.ThrowsAsync<ConcurrencyException>(() => Runner(mesh).HandleAsync(new AddToCounter(id, 1000), default));

        Assert.Equal(new Counter(id, 3), await Runner(mesh).ReadAsync(id, default));
        Assert.True(changed.IsEmpty);
    }

    public void Dispose() => folder.Dispose();

    private static SagaRunner<Counter> Runner(Mesh mesh) => mesh.Services.GetRequiredService<SagaRunner<Counter>>();

    private static Task<IReadOnlyList<StoredEvent>> EventsAsync(Mesh mesh, Guid id) =>
        mesh.Store.ReadStreamAsync(Counter.Definition.StreamId(id), 0, 100, default);

    private static void Increase(Counter state, AddToCounter add, HandlerContext context)
    {
        int total = state.Total + add.Amount;
        context.Work.Append(Counter.Definition.StreamId(state.Id), Counter.Definition.StreamType, [new CounterIncreased(state.Id, add.Amount, total)]);
        context.Work.Send(new CounterChanged(state.Id, total));
    }

    private Task<Mesh> StartAsync(Func<Counter, AddToCounter, HandlerContext, CancellationToken, Task>? handler = null, int attempts = 20) => Mesh.StartAsync(
        builder => builder
            .Saga(Counter.Definition, saga => saga.On<AddToCounter>(add => add.CounterId, handler ?? ((state, add, context, _) =>
            {
                Increase(state, add, context);
                return Task.CompletedTask;
            })))
            .Endpoint("listeners", endpoint => endpoint.Receive<CounterChanged>((message, _, _) =>
            {
                changed.Add(message);
                return Task.CompletedTask;
            })),
        folder.Store,
        attempts: attempts);
}
