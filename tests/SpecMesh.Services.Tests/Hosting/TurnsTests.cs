using SpecMesh.EventStore;
using SpecMesh.Hosting;

namespace SpecMesh.Services.Tests.Hosting;

/// <summary>Handlers of one queue that want the same event streams.</summary>
public sealed class TurnsTests
{
    private const string Shared = "counter-shared";

    [Fact]
    public async Task handlers_that_want_one_stream_lose_no_race_and_share_transactions()
    {
        const int messages = 60;
        int attempts = 0;
        int commits = 0;
        using TemporaryFolder folder = new();
        Seen<CounterChanged> seen = new();
        await using Mesh mesh = await Mesh.StartAsync(
            builder => Listen(builder, seen, (note, context, token) =>
            {
                Interlocked.Increment(ref attempts);
                return AddAsync(note, context, token);
            }),
            folder.Store,
            wrap: store => new FaultyStore(store) { BeforeCommit = commit => Interlocked.Add(ref commits, Math.Sign(commit.Appends.Count)) });

        await Task.WhenAll(Enumerable.Range(1, messages).Select(number => mesh.Bus.SendAsync("notes", new NoteTaken(number), default)));
        IReadOnlyList<CounterChanged> changes = await seen.NextAsync(messages);

        Assert.Equal(messages, attempts);
        Assert.InRange(commits, 1, messages - 1);
        IReadOnlyList<StoredEvent> events = await mesh.Store.ReadStreamAsync(Shared, 0, 1000, default);
        Assert.Equal(Enumerable.Range(1, messages).Select(version => (long)version), events.Select(stored => stored.Version));
        Assert.Equal(Enumerable.Range(1, messages), events.Select(stored => ((CounterIncreased)stored.Data).Amount).Order());
        Assert.Equal(events.Select(stored => ((CounterIncreased)stored.Data).Total).Order(), changes.Select(change => change.Total).Order());
        int total = 0;
        Assert.All(events.Select(stored => (CounterIncreased)stored.Data), increased => Assert.Equal(total += increased.Amount, increased.Total));
    }

    [Fact]
    public async Task a_handler_that_fails_leaves_the_others_alone()
    {
        using TemporaryFolder folder = new();
        Seen<CounterChanged> seen = new();
        await using Mesh mesh = await Mesh.StartAsync(
            builder => Listen(builder, seen, async (note, context, token) =>
            {
                await AddAsync(note, context, token);
                if (note.Number % 3 == 0)
                {
                    throw new InvalidOperationException("The test's own.");
                }
            }),
            folder.Store);

        await Task.WhenAll(Enumerable.Range(1, 9).Select(number => mesh.Bus.SendAsync("notes", new NoteTaken(number), default)));
        await seen.NextAsync(6);

        Assert.Equal([1, 2, 4, 5, 7, 8], (await mesh.Store.ReadStreamAsync(Shared, 0, 100, default)).Select(stored => ((CounterIncreased)stored.Data).Amount).Order());
        Assert.True(seen.IsEmpty);
    }

    [Fact]
    public async Task what_can_never_be_committed_does_not_take_its_company_along()
    {
        using TemporaryFolder folder = new();
        Seen<CounterChanged> seen = new();
        await using Mesh mesh = await Mesh.StartAsync(
            builder => Listen(builder, seen, AddAsync),
            folder.Store,
            wrap: store => new FaultyStore(store)
            {
                BeforeCommit = commit =>
                {
                    if (commit.Appends.Any(append => append.Events.OfType<CounterIncreased>().Any(increased => increased.Amount == 5)))
                    {
                        throw new ArgumentException("The test's own: five cannot be written.");
                    }
                },
            });

        await Task.WhenAll(Enumerable.Range(1, 9).Select(number => mesh.Bus.SendAsync("notes", new NoteTaken(number), default)));
        await seen.NextAsync(8);

        Assert.Equal([1, 2, 3, 4, 6, 7, 8, 9], (await mesh.Store.ReadStreamAsync(Shared, 0, 100, default)).Select(stored => ((CounterIncreased)stored.Data).Amount).Order());
    }

    [Fact]
    public async Task another_process_that_appends_meanwhile_makes_all_decide_again()
    {
        using TemporaryFolder folder = new();
        Seen<CounterChanged> seen = new();
        bool interfered = false;
        await using Mesh mesh = await Mesh.StartAsync(
            builder => Listen(builder, seen, async (note, context, token) =>
            {
                await AddAsync(note, context, token);
                if (note.Number == 2 && !interfered)
                {
                    interfered = true;
                    IEventStore store = (IEventStore)context.Services.GetService(typeof(IEventStore))!;
                    long version = (await store.ReadStreamAsync(Shared, 0, 100, token)).Count;
                    await store.CommitAsync(new Commit("other", [new StreamAppend(Shared, "counter", version, [new CounterIncreased(Guid.Empty, 100, 100)])], []), token);
                }
            }),
            folder.Store);

        await Task.WhenAll(Enumerable.Range(1, 4).Select(number => mesh.Bus.SendAsync("notes", new NoteTaken(number), default)));
        await seen.NextAsync(4);

        IEnumerable<CounterIncreased> events = (await mesh.Store.ReadStreamAsync(Shared, 0, 100, default)).Select(stored => (CounterIncreased)stored.Data);
        Assert.Equal([1, 2, 3, 4, 100], events.Select(increased => increased.Amount).Order());
    }

    private static void Listen(MeshBuilder builder, Seen<CounterChanged> seen, Func<NoteTaken, HandlerContext, CancellationToken, Task> handler) => builder
        .Endpoint("notes", endpoint => endpoint.InTurns().Handle(handler))
        .Endpoint("heard", endpoint => endpoint.Receive<CounterChanged>((changed, _, _) =>
        {
            seen.Add(changed);
            return Task.CompletedTask;
        }));

    private static async Task AddAsync(NoteTaken note, HandlerContext context, CancellationToken token)
    {
        await context.TakeTurnAsync(token);
        Loaded<Counter> loaded = await context.Work.LoadAsync(Shared, new Counter(Guid.Empty, 0), Counter.Evolve, token);
        int total = loaded.State.Total + note.Number;
        context.Work.Append(Shared, "counter", [new CounterIncreased(Guid.Empty, note.Number, total)]);
        context.Work.Send(new CounterChanged(Guid.Empty, total));
    }
}
