using MassTransit;

namespace SpecMesh.Hosting;

/// <summary>Tells whether the bus is connected and every queue of this process has its consumer.</summary>
internal sealed class BusGate(IBusControl bus)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(50);

    /// <summary>True when messages can be sent and received.</summary>
    public bool IsReady => bus.CheckHealth().Status == BusHealthStatus.Healthy;

    /// <summary>What is wrong with the bus, for the health report.</summary>
    public string Description
    {
        get
        {
            BusHealthResult health = bus.CheckHealth();
            return $"{health.Status}: {health.Description}";
        }
    }

    /// <summary>
    /// Completes when the bus is ready. Publishing earlier would lose messages: on the embedded bus and at a broker's first start a queue exists only once its consumer has connected.
    /// </summary>
    public async Task WaitUntilReadyAsync(CancellationToken cancellationToken)
    {
        while (!IsReady)
        {
            await Task.Delay(Interval, cancellationToken);
        }
    }
}
