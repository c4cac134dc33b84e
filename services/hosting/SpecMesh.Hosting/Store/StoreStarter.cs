using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using SpecMesh.EventStore;

namespace SpecMesh.Hosting;

/// <summary>
/// Creates what is missing in the store before anything uses it. A database that is not there yet is waited for in the background, so that a fleet may be started
/// in any order; meanwhile the process is alive but not ready, and handlers wait.
/// </summary>
internal sealed class StoreStarter(
    IOptions<SpecMeshOptions> options,
    StoreState state,
    BackOff backOff,
    TimeProvider time,
    ILogger<StoreStarter> logger,
    IEventStore? store = null) : BackgroundService
{
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        if (store is not null && !await TryOpenAsync(store, 1, cancellationToken))
        {
            await base.StartAsync(cancellationToken);
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        int attempt = 1;
        do
        {
            await Task.Delay(backOff.Exponential(attempt), time, stoppingToken);
        }
        while (!await TryOpenAsync(store!, ++attempt, stoppingToken));
    }

    private async Task<bool> TryOpenAsync(IEventStore opening, int attempt, CancellationToken cancellationToken)
    {
        string address = SecretMask.Mask(options.Value.Store);
        try
        {
            await opening.InitializeAsync(cancellationToken);
            Log.StoreOpened(logger, address);
            state.SetOpen();
            return true;
        }
        catch (Exception exception) when (StoreOutage.Is(exception))
        {
            Log.StoreNotThereYet(logger, exception, address, attempt);
            return false;
        }
    }
}

/// <summary>Whether the store can be used.</summary>
internal sealed class StoreState
{
    private readonly TaskCompletionSource opened = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public bool IsOpen => opened.Task.IsCompletedSuccessfully;

    public void SetOpen() => opened.TrySetResult();

    /// <summary>Completes once the store is open; at once when it is.</summary>
    public Task WaitUntilOpenAsync(CancellationToken cancellationToken) => opened.Task.WaitAsync(cancellationToken);
}
