using System.Diagnostics;
using SpecMesh.EventStore;
using SpecMesh.Hosting;

namespace SpecMesh.Services.Tests.Hosting;

/// <summary>Events, messages and deadlines are one transaction; what was committed leaves, at least once, under the same ids.</summary>
public sealed class OutboxTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly Seen<(Guid MessageId, CounterChanged Message)> changed = new();

    [Fact]
    public async Task a_commit_that_fails_publishes_nothing_and_appends_nothing()
    {
        Guid broken = Guid.NewGuid();
        Guid sound = Guid.NewGuid();
        FaultyStore? store = null;
        await using Mesh mesh = await StartAsync(AddOnce, wrap: inner => store = new FaultyStore(inner)
        {
            BeforeCommit = commit =>
            {
                if (commit.Appends.Any(append => append.StreamId == Counter.Definition.StreamId(broken)))
                {
                    throw new InvalidOperationException("broken on purpose");
                }
            },
        });

        await mesh.Bus.SendAsync("adders", new AddToCounter(broken, 1), default);
        await mesh.Bus.SendAsync("adders", new AddToCounter(sound, 2), default);

        Assert.Equal(new CounterChanged(sound, 2), (await changed.NextAsync()).Message);
        Assert.Empty(await mesh.Store.ReadStreamAsync(Counter.Definition.StreamId(broken), 0, 10, default));
        Assert.True(changed.IsEmpty);
    }

    [Fact]
    public async Task a_message_that_was_published_but_not_removed_is_published_again_with_the_same_id()
    {
        Guid id = Guid.NewGuid();
        (Guid MessageId, CounterChanged Message) before;
        await using (Mesh first = await StartAsync(AddOnce, wrap: inner => new FaultyStore(inner) { AfterPublish = _ => throw new InvalidOperationException("crashed on purpose") }))
        {
            await first.Bus.SendAsync("adders", new AddToCounter(id, 1), default);
            before = await changed.NextAsync();
        }

        while (!changed.IsEmpty)
        {
            Assert.Equal(before, await changed.NextAsync());
        }

        await using Mesh second = await StartAsync(AddOnce);
        Assert.Equal(before, await changed.NextAsync());
    }

    [Fact]
    public async Task a_repeated_delivery_is_seen_once()
    {
        Guid id = Guid.NewGuid();
        await using Mesh mesh = await StartAsync(AddOnce);

        await mesh.Bus.SendAsync("adders", new AddToCounter(id, 1), default);
        await mesh.Bus.SendAsync("adders", new AddToCounter(id, 1), default);
        await changed.NextAsync();
        await mesh.Bus.SendAsync("adders", new AddToCounter(Guid.NewGuid(), 5), default);

        Assert.Equal(5, (await changed.NextAsync()).Message.Total);
        Assert.Single(await mesh.Store.ReadStreamAsync(Counter.Definition.StreamId(id), 0, 10, default));
    }

    [Fact]
    public async Task messages_of_one_decision_leave_in_order_and_with_ids_of_their_own()
    {
        const int Messages = 200;
        Guid id = Guid.NewGuid();
        Seen<(Guid Id, int Total)> published = new();
        await using Mesh mesh = await StartAsync(
            async (add, context, token) =>
            {
                string stream = Counter.Definition.StreamId(add.CounterId);
                await context.Work.LoadAsync(stream, new Counter(id, 0), Counter.Evolve, token);
                context.Work.Append(stream, "counter", [new CounterIncreased(add.CounterId, 1, 1)]);
                for (int total = 0; total < Messages; total++)
                {
                    context.Work.Send(new CounterChanged(add.CounterId, total), "listeners");
                }
            },
            wrap: inner => new FaultyStore(inner)
            {
                AfterPublish = messages =>
                {
                    foreach (OutboxMessage message in messages)
                    {
                        published.Add((message.MessageId, ((CounterChanged)message.Message).Total));
                    }
                },
            });

        await mesh.Bus.SendAsync("adders", new AddToCounter(id, 1), default);

        IReadOnlyList<(Guid Id, int Total)> left = await published.NextAsync(Messages);
        Assert.Equal(Enumerable.Range(0, Messages), left.Select(message => message.Total));
        Assert.Equal(Messages, left.Select(message => message.Id).Distinct().Count());
        Assert.Equal(left.Order(), (await changed.NextAsync(Messages)).Select(message => (message.MessageId, message.Message.Total)).Order());
    }

    [Fact]
    public async Task a_deadline_leaves_when_it_is_due_and_not_before()
    {
        ManualTime time = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
        Guid id = Guid.NewGuid();
        Seen<CounterDeadline> deadlines = new();
        await using Mesh mesh = await Mesh.StartAsync(
            builder => builder.Endpoint("adders", endpoint => endpoint
                .Handle<AddToCounter>((add, context, _) =>
                {
                    context.Work.Send(new CounterDeadline(add.CounterId, 2), "adders", context.Now.AddHours(2));
                    context.Work.Send(new CounterDeadline(add.CounterId, 1), "adders", context.Now.AddHours(1));
                    context.Work.Send(new CounterDeadline(add.CounterId, 0), "adders");
                    return Task.CompletedTask;
                })
                .Handle<CounterDeadline>((deadline, _, _) =>
                {
                    deadlines.Add(deadline);
                    return Task.CompletedTask;
                })),
            folder.Store,
            time: time);

        await mesh.Bus.SendAsync("adders", new AddToCounter(id, 1), default);
        Assert.Equal(new CounterDeadline(id, 0), await deadlines.NextAsync());
        time.Advance(TimeSpan.FromHours(1));
        Assert.Equal(new CounterDeadline(id, 1), await deadlines.NextAsync());
        time.Advance(TimeSpan.FromHours(1));
        Assert.Equal(new CounterDeadline(id, 2), await deadlines.NextAsync());
    }

    [Fact]
    public async Task a_store_that_is_away_is_waited_for()
    {
        Guid id = Guid.NewGuid();
        int outages = 4;
        await using Mesh mesh = await StartAsync(AddOnce, wrap: inner => new FaultyStore(inner)
        {
            BeforeCommit = _ =>
            {
                if (Interlocked.Decrement(ref outages) >= 0)
                {
                    throw new DatabaseAwayException();
                }
            },
        });

        await mesh.Bus.SendAsync("adders", new AddToCounter(id, 1), default);

        Assert.Equal(new CounterChanged(id, 1), (await changed.NextAsync()).Message);
    }

    [Fact]
    public async Task a_handler_that_throws_is_not_repeated_and_does_not_stop_the_next_message()
    {
        Seen<int> seen = new();
        await using Mesh mesh = await Mesh.StartAsync(builder => builder.Endpoint("notes", endpoint => endpoint.Receive<NoteTaken>((note, _, _) =>
        {
            seen.Add(note.Number);
            return note.Number == 13 ? throw new InvalidOperationException("broken on purpose") : Task.CompletedTask;
        })));

        await mesh.Bus.SendAsync("notes", new NoteTaken(13), default);
        Assert.Equal(13, await seen.NextAsync());
        await mesh.Bus.SendAsync("notes", new NoteTaken(14), default);

        Assert.Equal(14, await seen.NextAsync());
        Assert.True(seen.IsEmpty);
    }

    [Fact]
    public async Task a_message_that_can_never_be_published_is_put_aside_and_holds_up_nothing()
    {
        Guid messageId = Guid.NewGuid();
        await using (IEventStore older = StoreConnection.Open(folder.Store, new EventTypes([typeof(OtherVersionsMessage)], Counter.Json), TimeProvider.System))
        {
            await older.InitializeAsync(default);
            await older.CommitAsync(new Commit("counting", [], [new OutgoingMessage(messageId, new OtherVersionsMessage("x"), "listeners", null)]), default);
        }

        Seen<UndeliverableMessage> aside = new();
        await using Mesh mesh = await Mesh.StartAsync(
            builder => builder
                .Endpoint("counting_outbox_error", endpoint => endpoint.Receive<UndeliverableMessage>((message, _, _) =>
                {
                    aside.Add(message);
                    return Task.CompletedTask;
                }))
                .Endpoint("adders", endpoint => endpoint.Handle<AddToCounter>(AddOnce))
                .Endpoint("listeners", endpoint => endpoint.Receive<CounterChanged>((message, context, _) =>
                {
                    changed.Add((context.MessageId, message));
                    return Task.CompletedTask;
                })),
            folder.Store);
        await mesh.Bus.SendAsync("adders", new AddToCounter(Guid.NewGuid(), 21), default);

        UndeliverableMessage undelivered = await aside.NextAsync();
        Assert.Equal((messageId, "other_versions_message", "listeners"), (undelivered.MessageId, undelivered.Alias, undelivered.Destination));
        Assert.Equal("x", undelivered.Body.GetProperty("text").GetString());
        Assert.Equal(21, (await changed.NextAsync()).Message.Total);
    }

    [Fact]
    public async Task a_trace_goes_on_from_the_decision_to_the_handler_of_its_message()
    {
        using ActivityListener listener = new()
        {
            ShouldListenTo = source => source.Name is "MassTransit" or "SpecMesh" or "test",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
        };
        ActivitySource.AddActivityListener(listener);
        using ActivitySource source = new("test");
        Seen<ActivityTraceId> traces = new();
        await using Mesh mesh = await Mesh.StartAsync(
            builder => builder
                .Endpoint("adders", endpoint => endpoint.Handle<AddToCounter>(AddOnce))
                .Endpoint("listeners", endpoint => endpoint.Receive<CounterChanged>((_, _, _) =>
                {
                    traces.Add(Activity.Current?.TraceId ?? default);
                    return Task.CompletedTask;
                })),
            folder.Store);

        ActivityTraceId expected;
        using (Activity activity = source.StartActivity("request")!)
        {
            expected = activity.TraceId;
            await mesh.Bus.SendAsync("adders", new AddToCounter(Guid.NewGuid(), 1), default);
        }

        Assert.Equal(expected, await traces.NextAsync());
    }

    public void Dispose() => folder.Dispose();

    private sealed record OtherVersionsMessage(string Text);

    /// <summary>Adds to a counter that has no events yet: an idempotent handler.</summary>
    private static async Task AddOnce(AddToCounter add, HandlerContext context, CancellationToken cancellationToken)
    {
        string stream = Counter.Definition.StreamId(add.CounterId);
        Loaded<Counter> counter = await context.Work.LoadAsync(stream, new Counter(add.CounterId, 0), Counter.Evolve, cancellationToken);
        if (counter.Version == 0)
        {
            context.Work.Append(stream, "counter", [new CounterIncreased(add.CounterId, add.Amount, add.Amount)]);
            context.Work.Send(new CounterChanged(add.CounterId, add.Amount));
        }
    }

    private Task<Mesh> StartAsync(Func<AddToCounter, HandlerContext, CancellationToken, Task> add, Func<IEventStore, IEventStore>? wrap = null) => Mesh.StartAsync(
        builder => builder
            .Endpoint("adders", endpoint => endpoint.Handle(add))
            .Endpoint("listeners", endpoint => endpoint.Receive<CounterChanged>((message, context, _) =>
            {
                changed.Add((context.MessageId, message));
                return Task.CompletedTask;
            })),
        folder.Store,
        wrap: wrap);

    /// <summary>Where two instances of a service run, the rows of one are locked by the other while that publishes them.</summary>
    [Theory]
    [InlineData(0, null, 500)]
    [InlineData(3, null, 500)]
    [InlineData(0, 200, 200)]
    [InlineData(0, 9000, 500)]
    [InlineData(3, -1, 0)]
    [InlineData(0, 0, 25)]
    [InlineData(0, -60000, 25)]
    public void rows_in_the_hands_of_another_instance_are_asked_for_again_after_a_pause(int count, int? dueInMs, int expectedMs)
    {
        DateTimeOffset now = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

        TimeSpan pause = OutboxDispatcher.Pause(new Dispatched(count, dueInMs is { } ms ? now.AddMilliseconds(ms) : null), now, TimeSpan.FromMilliseconds(500));

        Assert.Equal(expectedMs, pause.TotalMilliseconds);
    }
}
