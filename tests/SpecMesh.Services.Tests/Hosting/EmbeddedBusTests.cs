namespace SpecMesh.Services.Tests.Hosting;

/// <summary>The embedded bus without a store, as host agents use it.</summary>
public sealed class EmbeddedBusTests
{
    [Fact]
    public async Task a_published_message_reaches_every_queue_that_listens()
    {
        Seen<(string Queue, int Number)> seen = new();
        await using Mesh mesh = await Mesh.StartAsync(builder =>
        {
            foreach (string queue in (string[])["host-a", "host-b"])
            {
                builder.Endpoint(queue, endpoint => endpoint.Receive<NoteTaken>((note, _, _) =>
                {
                    seen.Add((queue, note.Number));
                    return Task.CompletedTask;
                }));
            }
        });

        await mesh.Bus.PublishAsync(new NoteTaken(7), default);

        Assert.Equal([("host-a", 7), ("host-b", 7)], (await seen.NextAsync(2)).Order());
    }

    [Fact]
    public async Task a_sent_message_reaches_its_queue_and_not_its_neighbour()
    {
        Seen<(string Queue, int Number)> seen = new();
        await using Mesh mesh = await Mesh.StartAsync(builder =>
        {
            foreach (string queue in (string[])["host-a", "host-b"])
            {
                builder.Endpoint(queue, endpoint => endpoint.Receive<NoteTaken>((note, _, _) =>
                {
                    seen.Add((queue, note.Number));
                    return Task.CompletedTask;
                }));
            }
        });

        await mesh.Bus.SendAsync("host-b", new NoteTaken(1), default);
        await mesh.Bus.SendAsync("host-a", new NoteTaken(2), default);

        Assert.Equal([("host-a", 2), ("host-b", 1)], (await seen.NextAsync(2)).Order());
        Assert.True(seen.IsEmpty);
    }

    [Fact]
    public async Task a_handler_without_a_store_is_told_so()
    {
        Seen<Exception?> seen = new();
        await using Mesh mesh = await Mesh.StartAsync(builder => builder.Endpoint("agent", endpoint => endpoint.Receive<NoteTaken>((_, context, _) =>
        {
            seen.Add(Record.Exception(() => context.Work));
            return Task.CompletedTask;
        })));

        await mesh.Bus.SendAsync("agent", new NoteTaken(1), default);

        Assert.IsType<InvalidOperationException>(await seen.NextAsync());
    }
}
