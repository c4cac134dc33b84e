using Microsoft.Extensions.Options;
using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Speculation.Health;

namespace SpecMesh.FailureMonitor;

/// <summary>
/// Breaks hosts on purpose, on a test cluster whose operator has asked for it: exactly <c>round(p·N)</c> of the trusted hosts refuse to build shells at every instant, by
/// <see cref="FaultSchedule"/>. Their machines run on, and replicas under way are left alone. Agents refuse such commands unless they are configured to allow them.
/// </summary>
internal sealed class FaultInjector(HostWatch watch, MessageBus bus, TimeProvider time, IOptions<FailureMonitorOptions> options, ILogger<FaultInjector> logger) : BackgroundService
{
    /// <summary>An agent forgets its faults when it starts anew, so they are told again after so long.</summary>
    private static readonly TimeSpan Refresh = TimeSpan.FromSeconds(30);

    /// <summary>What the agents were told, by host: when the fault is over, and when it was told, by the monotonic clock.</summary>
    private readonly Dictionary<string, (double UntilSeconds, double ToldAtSeconds)> told = new(StringComparer.Ordinal);
    private readonly long begin = time.GetTimestamp();
    private FaultSchedule? schedule;

    private double NowSeconds => time.GetElapsedTime(begin).TotalSeconds;

    /// <summary>Ends the faults. Those of agents that cannot be told in time end by themselves.</summary>
    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        schedule = null;
        try
        {
            await TellAsync(cancellationToken);
        }
        catch (OperationCanceledException exception)
        {
            Log.FaultsNotTold(logger, exception);
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (options.Value.InjectedFaults is not { } model)
        {
            return;
        }

        Log.FaultInjectionIsOn(logger, options.Value.InjectedFailedPercent, model.MinSeconds, model.MaxSeconds, options.Value.InjectedFaultSeed);
        using PeriodicTimer timer = new(options.Value.Heartbeat, time);
        do
        {
            try
            {
                Plan(model);
                await TellAsync(stoppingToken);
            }
            catch (Exception exception) when (!stoppingToken.IsCancellationRequested)
            {
                // The bus is away; what was not told is told by the next look.
                Log.FaultsNotTold(logger, exception);
            }
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    /// <summary>Another set of hosts has another number of failed ones, so the faults begin anew with it.</summary>
    private void Plan(FaultModel model)
    {
        IReadOnlyList<string> hostIds = watch.Trusted();
        if (schedule is null || !schedule.HostIds.SequenceEqual(hostIds, StringComparer.Ordinal))
        {
            bool leavesOneHealthy = hostIds.Count > 0 && model.FailedOf(hostIds.Count) < hostIds.Count;
            schedule = leavesOneHealthy ? new FaultSchedule(model, hostIds, options.Value.InjectedFaultSeed, NowSeconds) : null;
            Log.FaultsBegin(logger, schedule?.UntilSeconds.Count ?? 0, hostIds.Count);
        }

        schedule?.AdvanceTo(NowSeconds);
    }

    private async Task TellAsync(CancellationToken cancellationToken)
    {
        IReadOnlyDictionary<string, double> failed = schedule?.UntilSeconds ?? new Dictionary<string, double>();
        foreach (string hostId in told.Keys.Where(hostId => !failed.ContainsKey(hostId)).ToList())
        {
            await bus.SendAsync(HostQueue.Of(hostId), new InjectFault(hostId, FaultKind.None), cancellationToken);
            told.Remove(hostId);
            Log.FaultEnded(logger, hostId);
        }

        foreach ((string hostId, double untilSeconds) in failed)
        {
            bool isTold = told.TryGetValue(hostId, out (double UntilSeconds, double ToldAtSeconds) before) && before.UntilSeconds == untilSeconds;
            if (!isTold || NowSeconds - before.ToldAtSeconds >= Refresh.TotalSeconds)
            {
                double secondsLeft = untilSeconds - NowSeconds;
                await bus.SendAsync(HostQueue.Of(hostId), new InjectFault(hostId, FaultKind.FailStart, Until: time.GetUtcNow().AddSeconds(secondsLeft)), cancellationToken);
                told[hostId] = (untilSeconds, NowSeconds);
                if (!isTold)
                {
                    Log.FaultInjected(logger, hostId, secondsLeft);
                }
            }
        }
    }
}
