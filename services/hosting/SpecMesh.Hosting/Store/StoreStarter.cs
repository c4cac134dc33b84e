using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using SpecMesh.EventStore;

namespace SpecMesh.Hosting;

/// <summary>
/// Creates what is missing in the store before anything uses it. A database that is not there yet is waited for, so that a fleet may be started in any order;
/// meanwhile the process is alive but not ready.
/// </summary>
internal sealed class StoreStarter(
    IOptions<SpecMeshOptions> options,
    StoreState state,
    ILogger<StoreStarter> logger,
    IEventStore? store = null) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (store is null)
        {
            return;
        }

        string address = SecretMask.Mask(options.Value.Store);
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                await store.InitializeAsync(stoppingToken);
                Log.StoreOpened(logger, address);
                state.Opened.TrySetResult();
                return;
            }
            catch (Exception exception) when (HandlerRunner.IsOutage(exception))
            {
                Log.StoreNotThereYet(logger, exception, address, attempt);
                await Task.Delay(BackOff.Exponential(attempt), stoppingToken);
            }
        }
    }
}

/// <summary>Completes once the store can be used.</summary>
internal sealed class StoreState
{
    public TaskCompletionSource Opened { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}
