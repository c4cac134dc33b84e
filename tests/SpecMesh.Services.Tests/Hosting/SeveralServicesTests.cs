using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using SpecMesh.Hosting;

namespace SpecMesh.Services.Tests.Hosting;

/// <summary>How a process starts: with several services in it, and with a database that is not there.</summary>
public sealed class SeveralServicesTests
{
    [Fact]
    public async Task services_of_one_process_share_the_bus_and_the_store_and_keep_their_outboxes_apart()
    {
        using TemporaryFolder folder = new();
        Seen<(string Service, int Number)> seen = new();
        HostApplicationBuilder builder = Mesh.Builder(folder.Store, "memory");
        builder.AddSpecMesh("first", [typeof(AddToCounter)], Counter.Json).Endpoint("first", endpoint => endpoint.Handle<AddToCounter>((add, context, _) =>
        {
            context.Work.Send(new NoteTaken(add.Amount), "second");
            return Task.CompletedTask;
        }));
        builder.AddSpecMesh("second", [typeof(NoteTaken), typeof(CounterChanged)], Counter.Json)
            .Endpoint("second", endpoint => endpoint.Handle<NoteTaken>((note, context, _) =>
            {
                seen.Add(("second", note.Number));
                context.Work.Send(new CounterChanged(Guid.Empty, note.Number + 1));
                return Task.CompletedTask;
            }))
            .Endpoint("listeners", endpoint => endpoint.Receive<CounterChanged>((message, _, _) =>
            {
                seen.Add(("listeners", message.Total));
                return Task.CompletedTask;
            }));
        using IHost host = builder.Build();
        await host.StartAsync();

        await host.Services.GetRequiredService<MessageBus>().PublishAsync(new AddToCounter(Guid.NewGuid(), 4), default);
        IReadOnlyList<(string, int)> arrived = await seen.NextAsync(2);
        await host.StopAsync();

        Assert.Equal([("second", 4), ("listeners", 5)], arrived);
    }

    [Fact]
    public async Task a_database_that_is_not_there_leaves_the_process_alive_but_not_ready_and_direct_callers_are_told()
    {
        // Nothing listens on port 1 of a loopback address.
        await using Mesh mesh = await Mesh.StartAsync(
            builder => builder.Saga(Counter.Definition, saga => saga.On<AddToCounter>(add => add.CounterId, (_, _, _, _) => Task.CompletedTask)),
            store: "postgres://nobody:secret@127.0.0.1:1/nothing");

        HealthReport report = await mesh.Services.GetRequiredService<HealthCheckService>().CheckHealthAsync();

        Assert.Equal(HealthStatus.Unhealthy, report.Entries["store"].Status);
        await Assert.ThrowsAsync<StoreUnavailableException>(() =>
            mesh.Services.GetRequiredService<SagaRunner<Counter>>().HandleAsync(new AddToCounter(Guid.NewGuid(), 1), default));
    }
}
