using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Extensions.Logging.Console;
using SpecMesh.Contracts;
using SpecMesh.Hosting;

namespace SpecMesh.ControlPlane.Bench.Load;

/// <summary>How long one operation took, as its caller saw it.</summary>
/// <param name="SettledAt">When the caller heard of its end, as a timestamp.</param>
/// <param name="Completed">From the request to the outcome.</param>
/// <param name="Settled">From the request to the end of the last clean-up.</param>
/// <param name="Failure">Why it did not succeed; null when it did.</param>
internal sealed record Timing(long SettledAt, TimeSpan Completed, TimeSpan Settled, string? Failure);

/// <summary>A caller on the bus: it publishes requests, and hears outcomes on a queue of its own.</summary>
internal sealed class Client : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly ConcurrentDictionary<Guid, Pending> pending;
    private readonly IHost host;
    private readonly MessageBus bus;

    private Client(IHost host, ConcurrentDictionary<Guid, Pending> pending)
    {
        this.host = host;
        this.pending = pending;
        bus = host.Services.GetRequiredService<MessageBus>();
    }

    public static async Task<Client> StartAsync(string busUrl)
    {
        ConcurrentDictionary<Guid, Pending> pending = new();
        HostApplicationBuilder builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Configuration.AddInMemoryCollection(new Dictionary<string, string?> { ["SpecMesh:Bus"] = busUrl });
        builder.Logging.AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace).AddFilter<ConsoleLoggerProvider>(level => level >= LogLevel.Warning);
        builder.AddSpecMesh("bench", ContractCatalogue.All, ContractJson.Options)
            .Endpoint($"bench-{Environment.ProcessId}", endpoint => endpoint.Temporary()
                .Receive<SpecOpCompleted>((message, _, _) => Heard(pending, message.OperationId, operation => operation.Complete(message.Outcome, message.Reason)))
                .Receive<SpecOpSettled>((message, _, _) => Heard(pending, message.OperationId, operation => operation.Settle()))
                .Receive<SpecOpRefused>((message, _, _) => Heard(pending, message.OperationId, operation => operation.Refuse(message.Reason))));
        IHost host = builder.Build();
        await host.StartAsync();
        return new Client(host, pending);
    }

    /// <summary>Builds a machine somewhere.</summary>
    public Task PowerOnAsync(string vmId) =>
        RunAsync(new SubmitSpecOp(Guid.CreateVersion7(), OperationKind.PowerOn, vmId, Sq: 1, Vm: new VmDefinition(1 << 20)));

    /// <summary>Moves a machine to another host.</summary>
    /// <remarks>The limit is short so that the deadlines of an operation fall due within the run: their cost is part of what is measured.</remarks>
    public Task<Timing> MigrateAsync(string vmId, int sq) =>
        RunAsync(new SubmitSpecOp(Guid.CreateVersion7(), OperationKind.Migrate, vmId, sq, Cost: new CostLimits(TimeoutSeconds: 5)));

    public async ValueTask DisposeAsync()
    {
        await host.StopAsync();
        host.Dispose();
    }

    private async Task<Timing> RunAsync(SubmitSpecOp request)
    {
        Pending operation = pending[request.OperationId] = new Pending();
        try
        {
            await bus.PublishAsync(request, CancellationToken.None);
            return await operation.Ended.WaitAsync(Patience);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"Operation {request.OperationId} of {request.VmId} has not ended within {Patience.TotalSeconds} s.");
        }
        finally
        {
            pending.TryRemove(request.OperationId, out _);
        }
    }

    private static Task Heard(ConcurrentDictionary<Guid, Pending> pending, Guid operationId, Action<Pending> tell)
    {
        if (pending.TryGetValue(operationId, out Pending? operation))
        {
            tell(operation);
        }

        return Task.CompletedTask;
    }

    /// <summary>An operation under way. The news of its end may overtake the news of its outcome, so both are waited for.</summary>
    private sealed class Pending
    {
        private readonly TaskCompletionSource<Timing> ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly long started = Stopwatch.GetTimestamp();
        private readonly Lock gate = new();
        private TimeSpan? completed;
        private TimeSpan? settled;
        private string? failure;

        public Task<Timing> Ended => ended.Task;

        public void Complete(OperationOutcome outcome, Reason reason)
        {
            failure = outcome == OperationOutcome.Succeeded ? null : reason.Detail;
            Note(ref completed);
        }

        public void Settle() => Note(ref settled);

        public void Refuse(Reason reason) => ended.TrySetException(new InvalidOperationException($"A request was refused: {reason.Detail}"));

        private void Note(ref TimeSpan? moment)
        {
            lock (gate)
            {
                moment ??= Stopwatch.GetElapsedTime(started);
                if (completed is { } outcome && settled is { } end)
                {
                    ended.TrySetResult(new Timing(Stopwatch.GetTimestamp(), outcome, end, failure));
                }
            }
        }
    }
}
