namespace SpecMesh.EventStore.Tests;

public abstract partial class EventStoreCompliance
{
    [StoreFact]
    public async Task a_deadline_that_is_taken_back_never_leaves_and_its_neighbours_do()
    {
        DateTimeOffset due = Clock.GetUtcNow().AddSeconds(10);
        await Store.CommitAsync(Send(Message(1, due) with { About = "x" }, Message(2, due) with { About = "y" }, Message(3, due), Message(4) with { About = "x" }, Message(5, due) with { About = "x" }), Token);
        await Store.CommitAsync(Send(Message(6, due) with { About = "x" }) with { Service = "other" }, Token);

        await Store.CommitAsync(Append("a", 0, new Counted(1)) with { TakenBack = ["x", "unknown"] }, Token);

        Clock.Advance(TimeSpan.FromSeconds(11));
        Assert.Equal([2, 3, 4], await DispatchAsync());
        Assert.Equal([6], await DispatchAsync("other"));
    }

    [StoreFact]
    public async Task a_commit_takes_back_what_earlier_ones_have_left_and_not_its_own_deadlines()
    {
        DateTimeOffset due = Clock.GetUtcNow().AddSeconds(10);
        await Store.CommitAsync(Send(Message(1, due) with { About = "x" }), Token);

        await Store.CommitAsync(Send(Message(2, due) with { About = "x" }) with { TakenBack = ["x"] }, Token);

        Clock.Advance(TimeSpan.FromSeconds(11));
        Assert.Equal([2], await DispatchAsync());
    }

    [StoreFact]
    public async Task taking_back_alone_is_a_commit()
    {
        await Store.CommitAsync(Send(Message(1, Clock.GetUtcNow().AddSeconds(10)) with { About = "x" }), Token);

        await Store.CommitAsync(Send() with { TakenBack = ["x"] }, Token);

        Assert.Null(await Store.NextDueAsync(Service, Token));
    }

    [StoreFact]
    public async Task a_commit_that_loses_its_race_takes_nothing_back()
    {
        await Store.CommitAsync(Append("a", 0, new Counted(1)) with { Messages = [Message(1, Clock.GetUtcNow().AddSeconds(10)) with { About = "x" }] }, Token);

        await Assert.ThrowsAsync<ConcurrencyException>(() => Store.CommitAsync(Append("a", 0, new Counted(2)) with { TakenBack = ["x"] }, Token));

        Clock.Advance(TimeSpan.FromSeconds(11));
        Assert.Equal([1], await DispatchAsync());
    }

    [StoreFact]
    public async Task a_deadline_that_is_being_published_is_not_waited_for()
    {
        await Store.CommitAsync(Send(Message(1, Clock.GetUtcNow().AddSeconds(-1)) with { About = "x" }, Message(2, Clock.GetUtcNow().AddSeconds(10)) with { About = "x" }), Token);
        List<OutboxMessage> published = [];

        await Store.DispatchAsync(
            Service,
            10,
            async (messages, token) =>
            {
                await Store.CommitAsync(Append("a", 0, new Counted(1)) with { TakenBack = ["x"] }, token);
                published.AddRange(messages);
            },
            Token);

        Assert.Equal(new Reminder(1), Assert.Single(published).Message);
        Assert.Null(await Store.NextDueAsync(Service, Token));
    }

    [StoreFact]
    public async Task commits_that_come_together_take_back_only_what_was_there_before_them()
    {
        DateTimeOffset due = Clock.GetUtcNow().AddSeconds(10);
        for (int i = 0; i < 20; i++)
        {
            await Store.CommitAsync(Send(Message(i, due) with { About = $"x-{i}" }), Token);
        }

        await Task.WhenAll(Enumerable.Range(0, 20).Select(i =>
            Store.CommitAsync(Append($"a-{i}", 0, new Counted(i)) with { TakenBack = [$"x-{i}"], Messages = [Message(100 + i, due) with { About = $"x-{i}" }] }, Token)));

        Clock.Advance(TimeSpan.FromSeconds(11));
        Assert.Equal(Enumerable.Range(100, 20), (await DispatchAsync()).Order());
    }

    [StoreFact]
    public async Task a_unit_of_work_takes_back_with_its_commit_and_in_company_too()
    {
        DateTimeOffset due = Clock.GetUtcNow().AddSeconds(10);
        UnitOfWork first = new(Store, Records.Types, Service);
        first.Send(new Reminder(1), dueAt: due, about: "x");
        first.Send(new Reminder(2), dueAt: due, about: "y");
        await first.CommitAsync(null, Token);
        UnitOfWork second = new(Store, Records.Types, Service);
        second.TakeBack("x");
        UnitOfWork third = new(Store, Records.Types, Service);
        third.Send(new Reminder(3), dueAt: due, about: "x");
        CommonCommit company = new();
        company.Take(second);
        company.Take(third);

        Assert.False(second.IsEmpty);
        await company.CommitAsync(Token);

        Clock.Advance(TimeSpan.FromSeconds(11));
        Assert.Equal([2, 3], await DispatchAsync());
    }
}
