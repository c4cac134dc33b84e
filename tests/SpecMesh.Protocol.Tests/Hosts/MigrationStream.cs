using SpecMesh.Protocol.Tests.Engine;
using SpecMesh.Protocol.Tests.Faults;

namespace SpecMesh.Protocol.Tests.Hosts;

/// <summary>One record on a migration stream.</summary>
internal abstract record StreamRecord
{
    public sealed record Data((int Page, ulong Value)[] Pages) : StreamRecord;

    public sealed record RoundEnd(int Round) : StreamRecord;

    public sealed record Complete(int Incarnation, string Digest, long OwnershipVersion) : StreamRecord;

    public sealed record Vote(long OwnershipVersion, int Incarnation, int Epoch) : StreamRecord;

    public sealed record Ack(int Round) : StreamRecord;

    public sealed record Ready(int Incarnation, string Digest) : StreamRecord;

    public sealed record Resumed : StreamRecord;

    public sealed record Refused(string Detail) : StreamRecord;

    public sealed record Abort(string Detail) : StreamRecord;

    /// <summary>The other end has closed the connection.</summary>
    public sealed record End(string Detail) : StreamRecord;
}

/// <summary>One end of a migration stream.</summary>
internal interface IStreamEnd
{
    Agent Agent { get; }

    void Arrived(StreamRecord record);
}

/// <summary>
/// One migration stream: ordered both ways. It stalls while the network is cut, breaks when that lasts or when a fault says so, and ends with either agent. What was on its way
/// when it breaks is lost; when one end closes it, what that end had sent before still arrives, or not.
/// </summary>
internal sealed class MigrationStream
{
    private readonly Cluster cluster;
    private readonly IStreamEnd source;
    private readonly IStreamEnd target;
    private readonly Pipe toTarget;
    private readonly Pipe toSource;

    public MigrationStream(Cluster cluster, IStreamEnd source, IStreamEnd target)
    {
        this.cluster = cluster;
        (this.source, this.target) = (source, target);
        toTarget = new Pipe(this, source.Agent.Node, target);
        toSource = new Pipe(this, target.Agent.Node, source);
    }

    public void ToTarget(StreamRecord record) => toTarget.Send(record);

    public void ToSource(StreamRecord record) => toSource.Send(record);

    /// <summary>One end closes it; the other finds out.</summary>
    public void Close(IStreamEnd by, string detail)
    {
        (Pipe outgoing, Pipe incoming) = by == source ? (toTarget, toSource) : (toSource, toTarget);
        incoming.Shut();
        outgoing.Send(new StreamRecord.End(detail));
        outgoing.Finish();
    }

    /// <summary>An agent has died with it.</summary>
    public void EndDied(Agent agent)
    {
        IStreamEnd dead = agent == source.Agent ? source : target;
        if (cluster.Links.Random.NextInt(2) == 0)
        {
            (dead == source ? toTarget : toSource).Drop();
        }

        Close(dead, "The other agent has died.");
    }

    /// <summary>It breaks: both ends find out, each in its own time.</summary>
    public void Break(string detail)
    {
        foreach ((Pipe pipe, IStreamEnd end) in new[] { (toTarget, target), (toSource, source) })
        {
            if (pipe.IsOpen)
            {
                pipe.Shut();
                cluster.Scheduler.After(cluster.Links.Delay(), end.Agent.Life, () => end.Arrived(new StreamRecord.End(detail)));
            }
        }
    }

    /// <summary>One direction.</summary>
    private sealed class Pipe(MigrationStream stream, Node from, IStreamEnd receiver)
    {
        private static readonly TimeSpan LongestStall = TimeSpan.FromSeconds(4);

        private readonly Queue<StreamRecord> onItsWay = new();
        private long lastAt;
        private long stalledSince = -1;
        private bool finished;

        public bool IsOpen { get; private set; } = true;

        private Cluster Cluster => stream.cluster;

        private Scheduler Scheduler => stream.cluster.Scheduler;

        public void Send(StreamRecord record)
        {
            if (!IsOpen || finished)
            {
                return;
            }

            onItsWay.Enqueue(record);
            lastAt = Math.Max(lastAt + 1, Scheduler.Ticks + Cluster.Links.Delay().Ticks);
            Scheduler.After(TimeSpan.FromTicks(lastAt - Scheduler.Ticks), Pump);
        }

        /// <summary>Nothing is sent any more; what was sent arrives.</summary>
        public void Finish() => finished = true;

        /// <summary>Nothing arrives any more.</summary>
        public void Shut() => IsOpen = false;

        /// <summary>What is on its way is lost.</summary>
        public void Drop() => onItsWay.Clear();

        private void Pump()
        {
            if (!IsOpen || onItsWay.Count == 0 || receiver.Agent.Life.IsOver)
            {
                return;
            }

            if (Cluster.Links.IsCut(from, receiver.Agent.Node))
            {
                Stall();
                return;
            }

            if (!finished && Cluster.Faults.Strikes(Fault.StreamBreak))
            {
                stream.Break("The connection was reset.");
                return;
            }

            stalledSince = -1;
            StreamRecord record = onItsWay.Dequeue();
            Scheduler.Post(receiver.Agent.Life, _ => receiver.Arrived(record), null);
        }

        private void Stall()
        {
            stalledSince = stalledSince < 0 ? Scheduler.Ticks : stalledSince;
            if (Scheduler.Ticks - stalledSince > LongestStall.Ticks)
            {
                stream.Break("The other end does not answer.");
                return;
            }

            Scheduler.After(TimeSpan.FromMilliseconds(200), Pump);
        }
    }
}
