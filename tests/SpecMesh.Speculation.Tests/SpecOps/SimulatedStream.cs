using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>One migration stream: ordered both ways, until it breaks.</summary>
public sealed class SimulatedStream(SimulatedMesh mesh, int replica)
{
    private TimeSpan lastToTarget;
    private TimeSpan lastToSource;

    public bool IsOpen { get; private set; } = true;

    public void ToTarget(TargetInput input)
    {
        lastToTarget = Later(lastToTarget);
        mesh.After(lastToTarget - mesh.Clock, () => Arrive(() => mesh.Targets[replica].Hear(input)));
    }

    public void ToSource(SourceInput input)
    {
        lastToSource = Later(lastToSource);
        mesh.After(lastToSource - mesh.Clock, () => Arrive(() => mesh.Source.Hear(input)));
    }

    /// <summary>The source closes it with a last word.</summary>
    public void Close(Reason reason)
    {
        lastToTarget = Later(lastToTarget);
        mesh.After(lastToTarget - mesh.Clock, () => Arrive(() =>
        {
            IsOpen = false;
            mesh.Targets[replica].Hear(new TargetInput.SourceAborted(reason));
        }));
    }

    /// <summary>Both ends find out, each in its own time; what was under way is lost.</summary>
    public void Break()
    {
        if (IsOpen)
        {
            IsOpen = false;
            Reason reason = new("stream-lost", "The connection was reset.");
            mesh.After(mesh.Delay(), () => mesh.Targets[replica].Hear(new TargetInput.StreamLost(reason)));
            mesh.After(mesh.Delay(), () => mesh.Source.Hear(new SourceInput.StreamFailed(replica, reason, ReplicaCounters.None)));
        }
    }

    private TimeSpan Later(TimeSpan last)
    {
        TimeSpan at = mesh.Clock + mesh.Delay();
        return at > last ? at : last + TimeSpan.FromTicks(1);
    }

    private void Arrive(Action action)
    {
        if (!IsOpen)
        {
            return;
        }

        if (mesh.Strikes(0.5))
        {
            Break();
            return;
        }

        action();
    }
}
