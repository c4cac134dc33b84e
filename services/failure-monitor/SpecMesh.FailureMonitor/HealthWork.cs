using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Speculation;
using SpecMesh.Speculation.Health;

namespace SpecMesh.FailureMonitor;

/// <summary>What every use case does around its decision.</summary>
internal static class HealthWork
{
    /// <summary>Loads the host's health, decides, and puts what was decided into the unit of work.</summary>
    public static async Task DecideAsync(this HandlerContext context, string hostId, object decidedFrom, Func<HealthState, Decision> decide, CancellationToken cancellationToken)
    {
        HealthState health = (await context.Work.LoadAsync(EventStreams.OfHealth(hostId), HealthState.Unknown(hostId), HealthState.Evolve, cancellationToken)).State;
        Decision decision = decide(health);
        context.Work.Append(EventStreams.OfHealth(hostId), EventStreams.HealthType, decision.Events, () => decidedFrom);
        foreach (Effect effect in decision.Effects)
        {
            context.Work.Send(effect.Message, effect.HostId is null ? null : HostQueue.Of(effect.HostId), effect.DueAt);
        }

        ILogger logger = context.Services.GetRequiredService<ILogger<HostWatch>>();
        context.AfterCommit(() => Tell(logger, decision));
    }

    private static void Tell(ILogger logger, Decision decision)
    {
        foreach (object change in decision.Events)
        {
            switch (change)
            {
                case HostSuspected suspected:
                    Log.HostSuspected(logger, suspected.HostId, suspected.Reason.Detail);
                    break;
                case HostRecovered recovered:
                    Log.HostRecovered(logger, recovered.HostId, recovered.Reason.Detail);
                    break;
                case ReplicaOutcomeCounted counted:
                    Log.OutcomeCounted(logger, counted.HostId, counted.OperationId, counted.Replica, counted.Failed);
                    break;
            }
        }
    }
}
