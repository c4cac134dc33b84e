using SpecMesh.Protocol.Tests.Engine;
using SpecMesh.Protocol.Tests.Faults;
using SpecMesh.Protocol.Tests.Services;

namespace SpecMesh.Protocol.Tests.Network;

/// <summary>One message in one queue.</summary>
/// <param name="queue">The queue.</param>
/// <param name="content">The contract record.</param>
/// <param name="id">The sender's id.</param>
internal sealed class BusMessage(string queue, object content, Guid id)
{
    public string Queue { get; } = queue;

    public object Content { get; } = content;

    public Guid Id { get; } = id;
}

/// <summary>Somebody who takes messages from queues: a service's process, or a host's agent.</summary>
internal interface IConsumer
{
    Node Node { get; }

    /// <summary>True while it is connected.</summary>
    bool Takes { get; }

    /// <summary>What it was given and has not acknowledged.</summary>
    HashSet<BusMessage> Unacknowledged { get; }

    void Handle(BusMessage message);
}

/// <summary>The broker did not take or did not confirm a message.</summary>
internal sealed class BrokerAwayException() : Exception("The simulated broker did not confirm the message.");

/// <summary>
/// The broker: durable queues, at least once, in any order. What it has accepted it keeps until somebody has acknowledged it; what a consumer held when it died or was cut off is
/// delivered again.
/// </summary>
internal sealed class Broker(Cluster cluster)
{
    private readonly Dictionary<string, List<IConsumer>> consumers = new(StringComparer.Ordinal);
    private readonly Dictionary<string, List<BusMessage>> waiting = new(StringComparer.Ordinal);

    /// <summary>Messages that are in a queue or with a consumer.</summary>
    public int Count { get; private set; }

    /// <summary>Messages in a queue that no consumer could be found for.</summary>
    public int WaitingIn(string queue) => waiting[queue].Count;

    /// <summary>Somebody will take messages from a queue whenever it is connected.</summary>
    public void Attach(string queue, IConsumer consumer)
    {
        if (!consumers.TryGetValue(queue, out List<IConsumer>? all))
        {
            consumers.Add(queue, all = []);
            waiting.Add(queue, []);
        }

        all.Add(consumer);
    }

    /// <summary>Takes a message: into one queue, or into every queue that listens for its type.</summary>
    public void Accept(object content, string? queue, Guid id)
    {
        if (queue is not null)
        {
            Push(new BusMessage(queue, content, id));
            return;
        }

        foreach (string listening in Composition.Listeners.GetValueOrDefault(content.GetType()) ?? [])
        {
            Push(new BusMessage(listening, content, id));
        }
    }

    /// <summary>A consumer has handled a message.</summary>
    public void Acknowledge(IConsumer consumer, BusMessage message)
    {
        if (!consumer.Unacknowledged.Remove(message))
        {
            return;
        }

        if (cluster.Links.IsCut(consumer.Node, cluster.BrokerNode) || cluster.Faults.Strikes(Fault.AckLost, 0.3))
        {
            Redeliver(message);
            return;
        }

        Count--;
    }

    /// <summary>A consumer has gone: what it held is delivered again.</summary>
    public void Abandon(IConsumer consumer)
    {
        foreach (BusMessage message in consumer.Unacknowledged)
        {
            Redeliver(message);
        }

        consumer.Unacknowledged.Clear();
    }

    /// <summary>A consumer has come, or a cut is over.</summary>
    public void Flush(string queue)
    {
        List<BusMessage> all = waiting[queue];
        foreach (BusMessage message in all)
        {
            cluster.Scheduler.After(cluster.Links.Delay(), () => Offer(message));
        }

        all.Clear();
    }

    /// <summary>As <see cref="Flush"/>, for every queue.</summary>
    public void FlushAll()
    {
        foreach (string queue in waiting.Keys)
        {
            Flush(queue);
        }
    }

    private void Push(BusMessage message)
    {
        int copies = cluster.Faults.Strikes(Fault.MessageRepeated) ? 2 : 1;
        for (int i = 0; i < copies; i++)
        {
            Count++;
            BusMessage copy = i == 0 ? message : new BusMessage(message.Queue, message.Content, message.Id);
            cluster.Scheduler.After(cluster.Links.Delay(), () => Offer(copy));
        }
    }

    private void Redeliver(BusMessage message) => cluster.Scheduler.After(TimeSpan.FromMilliseconds(cluster.Links.Random.Uniform(50, 1500)), () => Offer(message));

    private void Offer(BusMessage message)
    {
        List<IConsumer> all = consumers[message.Queue];
        int first = cluster.Links.Random.NextInt(all.Count);
        for (int i = 0; i < all.Count; i++)
        {
            IConsumer consumer = all[(first + i) % all.Count];
            if (consumer.Takes && !cluster.Links.IsCut(cluster.BrokerNode, consumer.Node))
            {
                consumer.Unacknowledged.Add(message);
                consumer.Handle(message);
                return;
            }
        }

        waiting[message.Queue].Add(message);
    }
}
