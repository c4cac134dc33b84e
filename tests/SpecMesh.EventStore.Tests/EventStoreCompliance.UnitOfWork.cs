namespace SpecMesh.EventStore.Tests;

public abstract partial class EventStoreCompliance
{
    [StoreFact]
    public async Task a_long_stream_is_folded_whole_and_appended_to_at_its_version()
    {
        const int events = 2100;
        await Store.CommitAsync(Append("long", 0, [.. Enumerable.Range(1, events).Select(value => new Counted(value))]), Token);

        UnitOfWork work = new(Store, Records.Types, Service);
        Loaded<long> loaded = await work.LoadAsync("long", 0L, (sum, data) => sum + ((Counted)data).Value, Token);
        work.Append("long", "test", [new Counted(-1)], decidedFrom: () => new Reminder(5));
        await work.CommitAsync(null, Token);

        Assert.Equal(new Loaded<long>(events * (events + 1L) / 2, events), loaded);
        StoredEvent last = Assert.Single(await Store.ReadStreamAsync("long", events, 10, Token));
        Assert.Equal(5, last.Headers!.Value.GetProperty("value").GetInt32());
    }

    [StoreFact]
    public async Task the_same_decision_sends_messages_with_the_same_ids()
    {
        List<Guid>[] ids = [[], []];
        foreach (List<Guid> sent in ids)
        {
            UnitOfWork work = new(Store, Records.Types, Service) { CausationId = "cause" };
            work.Send(new Reminder(1));
            work.Send(new Reminder(2), "queue");
            await work.CommitAsync(null, Token);
            sent.AddRange((await DispatchWholeAsync()).Select(message => message.MessageId));
        }

        Assert.Equal(ids[0], ids[1]);
        Assert.Equal(2, ids[0].Distinct().Count());
    }

    [StoreFact]
    public async Task a_stream_that_was_not_loaded_cannot_be_appended_to()
    {
        UnitOfWork work = new(Store, Records.Types, Service);
        Assert.Throws<InvalidOperationException>(() => work.Append("a", "test", [new Counted(1)]));
        await work.LoadAsync("a", 0, (count, _) => count + 1, Token);
        work.Append("a", "test", [new Counted(1)]);
        Assert.Throws<InvalidOperationException>(() => work.Append("a", "test", [new Counted(2)]));
        await Store.CommitAsync(Append("a", 0, new Counted(3)), Token);
        await Assert.ThrowsAsync<ConcurrencyException>(() => work.CommitAsync(null, Token));
    }

    [StoreFact]
    public async Task a_commit_that_is_cancelled_before_it_begins_does_not_happen()
    {
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Store.CommitAsync(Append("a", 0, new Counted(1)), new CancellationToken(canceled: true)));
        Assert.Empty(await ReadAllAsync(Store));
    }
}
