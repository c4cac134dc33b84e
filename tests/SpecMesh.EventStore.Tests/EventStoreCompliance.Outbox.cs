using System.Diagnostics;

namespace SpecMesh.EventStore.Tests;

public abstract partial class EventStoreCompliance
{
    [StoreFact]
    public async Task messages_leave_once_in_the_order_of_their_commits()
    {
        await Store.CommitAsync(Append("a", 0, new Counted(1)) with { Messages = [Message(1), Message(2)] }, Token);
        await Store.CommitAsync(Send(Message(3)) with { Service = "other" }, Token);
        await Store.CommitAsync(Send(Message(4)), Token);

        Assert.Equal([1, 2], await DispatchAsync(limit: 2));
        Assert.Equal([4], await DispatchAsync());
        Assert.Empty(await DispatchAsync());
        Assert.Equal([3], await DispatchAsync("other"));
    }

    [StoreFact]
    public async Task a_message_keeps_everything_that_was_said_about_it()
    {
        using Activity activity = new Activity("decide").SetIdFormat(ActivityIdFormat.W3C).Start();
        Guid id = Guid.NewGuid();
        DateTimeOffset due = Clock.GetUtcNow() - TimeSpan.FromSeconds(1);
        await Store.CommitAsync(Send(new OutgoingMessage(id, new Reminder(7), "queue-a", due), Message(8)), Token);

        List<OutboxMessage> published = await DispatchWholeAsync();

        Assert.Equal(2, published.Count);
        Assert.Equal((id, "reminder", new Reminder(7), "queue-a", activity.Id), (published[0].MessageId, published[0].Alias, published[0].Message, published[0].Destination, published[0].TraceParent));
        Assert.InRange(published[0].DueAt - due, TimeSpan.Zero, TimeSpan.FromMicroseconds(1));
        Assert.Null(published[1].Destination);
    }

    [StoreFact]
    public async Task messages_that_could_not_be_published_are_handed_out_again_with_the_same_ids()
    {
        await Store.CommitAsync(Send(Message(1), Message(2)), Token);
        List<Guid> first = [];

        await Assert.ThrowsAsync<IOException>(() => Store.DispatchAsync(
            Service,
            10,
            (messages, _) =>
            {
                first.AddRange(messages.Select(message => message.MessageId));
                throw new IOException("the broker is away");
            },
            Token));
        IEnumerable<Guid> second = (await DispatchWholeAsync()).Select(message => message.MessageId);

        Assert.Equal(2, first.Count);
        Assert.Equal(first, second);
        Assert.Empty(await DispatchAsync());
    }

    [StoreFact]
    public async Task a_deadline_leaves_when_it_is_due_and_not_before()
    {
        DateTimeOffset start = Clock.GetUtcNow();
        await Store.CommitAsync(Send(Message(1, start.AddSeconds(20)), Message(2, start.AddSeconds(10).AddTicks(3))), Token);
        Assert.Empty(await DispatchAsync());
        DateTimeOffset? next = await Store.NextDueAsync(Service, Token);
        Assert.InRange(next!.Value - start, TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(10) + TimeSpan.FromMicroseconds(2));

        Clock.Advance(TimeSpan.FromSeconds(10));
        Assert.Empty(await DispatchAsync());
        Clock.Advance(TimeSpan.FromMicroseconds(2));
        Assert.Equal([2], await DispatchAsync());
        Assert.Equal(start.AddSeconds(20), (await Store.NextDueAsync(Service, Token))!.Value, TimeSpan.FromMicroseconds(1));

        await Store.CommitAsync(Send(Message(3)), Token);
        Assert.True(await Store.NextDueAsync(Service, Token) <= Clock.GetUtcNow());
        Assert.Equal([3], await DispatchAsync());
        Clock.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal([1], await DispatchAsync());
        Assert.Null(await Store.NextDueAsync(Service, Token));
    }

    [StoreFact]
    public async Task whoever_receives_a_message_may_append_while_it_is_being_published()
    {
        await Store.CommitAsync(Send(Message(1)), Token);

        Dispatched done = await Store.DispatchAsync(
            Service, 10, async (_, token) => await Store.CommitAsync(Append("a", 0, new Counted(1)) with { Messages = [Message(2)] }, token), Token);

        Assert.Equal(1, done.Count);
        Assert.True(done.NextDue <= Clock.GetUtcNow(), "What was committed meanwhile is due.");
        Assert.Single(await Store.ReadStreamAsync("a", 0, 10, Token));
        Assert.Equal([2], await DispatchAsync());
    }

    [StoreFact]
    public async Task two_dispatchers_of_one_service_hand_no_message_out_twice()
    {
        const int messages = 60;
        for (int i = 0; i < messages; i += 10)
        {
            await Store.CommitAsync(Send([.. Enumerable.Range(i, 10).Select(value => Message(value))]), Token);
        }

        System.Collections.Concurrent.ConcurrentQueue<int> published = new();
        await Task.WhenAll(Enumerable.Range(0, 2).Select(_ => Task.Run(async () =>
        {
            int count;
            do
            {
                count = (await Store.DispatchAsync(Service, 4, (page, _) => Publish(page), Token)).Count;
            }
            while (count > 0);
        })));

        // A dispatcher may end while the other one still holds the last rows, so what is left over is taken now.
        List<int> rest = await DispatchAsync();
        Assert.Equal(Enumerable.Range(0, messages), published.Concat(rest).Order());

        Task Publish(IReadOnlyList<OutboxMessage> page)
        {
            foreach (OutboxMessage message in page)
            {
                published.Enqueue(((Reminder)message.Message).Value);
            }

            return Task.CompletedTask;
        }
    }
}
