using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.Hosting;

namespace SpecMesh.Cli.Demo;

/// <summary>
/// The system that a demonstration runs on, as a program sees it that knows the contracts: commands over the bus, facts from the event streams, and the hosts' state
/// directories to look for guests.
/// </summary>
/// <param name="host">The process' services: the bus and the store, and in the embedded system everything else.</param>
/// <param name="progress">Progress reports while a migration runs.</param>
/// <param name="stateOf">State directory of each host's agent, by host.</param>
/// <param name="cleanUp">Ends what was started for the demonstration.</param>
public sealed class DemoSystem(IHost host, ProgressFeed progress, IReadOnlyDictionary<string, string> stateOf, Func<Task> cleanUp) : IAsyncDisposable
{
    public IReadOnlyDictionary<string, string> StateOf { get; } = stateOf;

    public ProgressFeed Progress { get; } = progress;

    public IEventStore Store { get; } = host.Services.GetRequiredService<IEventStore>();

    public EventTypes Types { get; } = host.Services.GetRequiredService<EventTypes>();

    public MessageBus Bus { get; } = host.Services.GetRequiredService<MessageBus>();

    public async ValueTask DisposeAsync()
    {
        using (CancellationTokenSource patience = new(TimeSpan.FromSeconds(20)))
        {
            await host.StopAsync(patience.Token);
        }

        if (host is IAsyncDisposable asynchronous)
        {
            await asynchronous.DisposeAsync();
        }
        else
        {
            host.Dispose();
        }

        await cleanUp();
    }
}

/// <summary>The latest progress report of each replica.</summary>
public sealed class ProgressFeed
{
    private readonly System.Collections.Concurrent.ConcurrentDictionary<(Guid, int), ReplicaProgressed> latest = new();

    /// <summary>Takes a report.</summary>
    public void Take(ReplicaProgressed report) => latest[(report.OperationId, report.Replica)] = report;

    /// <summary>The latest report of a replica; null when there was none.</summary>
    public ReplicaProgressed? Of(Guid operationId, int replica) => latest.GetValueOrDefault((operationId, replica));
}
