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
    public async Task what_this_process_appended_last_is_folded_without_reading_and_checked_at_the_commit()
    {
        FoldCache folds = new();
        async Task<(UnitOfWork Work, Loaded<int> Loaded)> LoadAsync()
        {
            UnitOfWork work = new(Store, Records.Types, Service, folds);
            return (work, await work.LoadAsync("a", 0, (sum, data) => sum + ((Counted)data).Value, Token));
        }

        (UnitOfWork first, _) = await LoadAsync();
        first.Append("a", "test", [new Counted(1), new Counted(2)]);
        await first.CommitAsync(null, Token);

        // Another process appends. Nobody tells this one.
        await Store.CommitAsync(Append("a", 2, new Counted(10)), Token);
        (UnitOfWork appends, Loaded<int> behind) = await LoadAsync();
        Assert.Equal(new Loaded<int>(3, 2), behind);
        appends.Append("a", "test", [new Counted(4)]);
        await Assert.ThrowsAsync<ConcurrencyException>(() => appends.CommitAsync(null, Token));

        (UnitOfWork again, Loaded<int> current) = await LoadAsync();
        Assert.Equal(new Loaded<int>(13, 3), current);
        again.Append("a", "test", [new Counted(4)]);
        await again.CommitAsync(null, Token);
        Assert.Equal(new Loaded<int>(17, 4), (await LoadAsync()).Loaded);
    }

    [StoreFact]
    public async Task a_decision_to_do_nothing_or_something_else_is_not_taken_on_a_fold_that_is_behind()
    {
        FoldCache folds = new();
        UnitOfWork first = new(Store, Records.Types, Service, folds);
        await first.LoadAsync("a", 0, (count, _) => count + 1, Token);
        first.Append("a", "test", [new Counted(1)]);
        await first.CommitAsync(null, Token);
        foreach (Action<UnitOfWork> decision in new Action<UnitOfWork>[] { _ => { }, work => work.Send(new Reminder(1)), work => work.Append("b", "test", [new Counted(1)]) })
        {
            long version = (await Store.ReadStreamAsync("a", 0, int.MaxValue, Token)).Count;
            await Store.CommitAsync(Append("a", version, new Counted(2)), Token);
            UnitOfWork behind = new(Store, Records.Types, Service, folds);
            Assert.Equal(version, (await behind.LoadAsync("a", 0, (count, _) => count + 1, Token)).Version);
            await behind.LoadAsync("b", 0, (count, _) => count + 1, Token);
            decision(behind);
            await Assert.ThrowsAsync<ConcurrencyException>(() => behind.CommitAsync(null, Token));

            UnitOfWork current = new(Store, Records.Types, Service, folds);
            Assert.Equal(version + 1, (await current.LoadAsync("a", 0, (count, _) => count + 1, Token)).Version);
            current.Append("a", "test", [new Counted(3)]);
            await current.CommitAsync(null, Token);
        }

        Assert.Empty(await DispatchAsync());
        Assert.Empty(await Store.ReadStreamAsync("b", 0, 10, Token));
    }

    [StoreFact]
    public async Task folds_beyond_the_capacity_are_read_again()
    {
        FoldCache folds = new(capacity: 1);
        foreach (string stream in new[] { "a", "b" })
        {
            UnitOfWork work = new(Store, Records.Types, Service, folds);
            await work.LoadAsync(stream, 0, (count, _) => count + 1, Token);
            work.Append(stream, "test", [new Counted(1)]);
            await work.CommitAsync(null, Token);
            await Store.CommitAsync(Append(stream, 1, new Counted(2)), Token);
        }

        UnitOfWork last = new(Store, Records.Types, Service, folds);
        Assert.Equal(2, (await last.LoadAsync("a", 0, (count, _) => count + 1, Token)).Version);
    }

    [StoreFact]
    public async Task works_that_are_committed_together_see_what_those_before_them_leave_behind()
    {
        FoldCache folds = new();
        CommonCommit together = new();
        for (int i = 1; i <= 3; i++)
        {
            UnitOfWork work = new(Store, Records.Types, Service, folds) { CorrelationId = $"operation-{i}", CausationId = $"cause-{i}" };
            together.Admit(work);
            Reminder from = new(i);
            Loaded<int> loaded = await work.LoadAsync("a", 0, (sum, data) => sum + ((Counted)data).Value, Token);
            Assert.Equal(i - 1, loaded.Version);
            work.Append("a", "test", [new Counted(loaded.State + i)], decidedFrom: () => from);
            work.Send(new Reminder(i));
            together.Take(work);
        }

        await together.CommitAsync(Token);

        IReadOnlyList<StoredEvent> events = await Store.ReadStreamAsync("a", 0, 10, Token);
        Assert.Equal([1, 3, 7], events.Select(stored => ((Counted)stored.Data).Value));
        Assert.Equal([1, 2, 3], events.Select(stored => stored.Headers!.Value.GetProperty("value").GetInt32()));
        List<OutboxMessage> sent = await DispatchWholeAsync();
        Assert.Equal([1, 2, 3], sent.Select(message => ((Reminder)message.Message).Value));
        Assert.Equal(3, sent.Select(message => message.MessageId).Distinct().Count());
        UnitOfWork next = new(Store, Records.Types, Service, folds);
        Assert.Equal(new Loaded<int>(11, 3), await next.LoadAsync("a", 0, (sum, data) => sum + ((Counted)data).Value, Token));
    }

    [StoreFact]
    public async Task works_that_are_committed_together_all_fail_with_one_of_them()
    {
        await Store.CommitAsync(Append("moved", 0, new Counted(1)), Token);
        CommonCommit together = new();
        UnitOfWork first = new(Store, Records.Types, Service);
        UnitOfWork second = new(Store, Records.Types, Service);
        foreach ((UnitOfWork work, string stream) in new[] { (first, "a"), (second, "moved") })
        {
            together.Admit(work);
            await work.LoadAsync(stream, 0, (count, _) => count + 1, Token);
            work.Append(stream, "test", [new Counted(2)]);
            work.Send(new Reminder(1));
            together.Take(work);
        }

        await Store.CommitAsync(Append("moved", 1, new Counted(3)), Token);

        await Assert.ThrowsAsync<ConcurrencyException>(() => together.CommitAsync(Token));
        Assert.Empty(await Store.ReadStreamAsync("a", 0, 10, Token));
        Assert.Empty(await DispatchAsync());
    }

    [StoreFact]
    public async Task a_work_that_did_not_see_what_another_one_appends_is_not_taken()
    {
        CommonCommit together = new();
        UnitOfWork seen = new(Store, Records.Types, Service);
        UnitOfWork blind = new(Store, Records.Types, Service);
        foreach (UnitOfWork work in new[] { seen, blind })
        {
            await work.LoadAsync("a", 0, (count, _) => count + 1, Token);
            work.Append("a", "test", [new Counted(1)]);
        }

        together.Take(seen);
        Assert.Throws<ConcurrencyException>(() => together.Take(blind));
        await together.CommitAsync(Token);
        Assert.Single(await Store.ReadStreamAsync("a", 0, 10, Token));
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
