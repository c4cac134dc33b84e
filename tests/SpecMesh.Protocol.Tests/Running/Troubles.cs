using SpecMesh.Protocol.Tests.Engine;
using SpecMesh.Protocol.Tests.Faults;
using SpecMesh.Protocol.Tests.Hosts;
using SpecMesh.Protocol.Tests.Services;
using SpecMesh.Speculation;

namespace SpecMesh.Protocol.Tests.Running;

/// <summary>The faults that come at a time of their own, and the end of all faults.</summary>
internal sealed class Troubles(Cluster cluster, Prng random)
{
    /// <summary>Plans what comes.</summary>
    public void Begin()
    {
        Plan(Fault.AgentCrash, 4, () => cluster.CrashAgent(AnyHost()));
        Plan(Fault.AgentStop, 4, StopAgent);
        Plan(Fault.ServiceCrash, 5, () => cluster.CrashService(cluster.Services[random.NextInt(cluster.Services.Count)]));
        Plan(Fault.Partition, 4, () => Cut(bothWays: true));
        Plan(Fault.OneWayPartition, 4, () => Cut(bothWays: false));
        Plan(Fault.StoreAway, 2, () =>
        {
            cluster.StoreIsAway = true;
            cluster.Scheduler.After(TimeSpan.FromSeconds(random.Uniform(0.1, 5)), () => cluster.StoreIsAway = false);
        });
        Plan(Fault.ClockForward, 3, () => AnyNode().ClockOffset += TimeSpan.FromSeconds(random.Uniform(0.5, 90)));
        Plan(Fault.ClockBackward, 3, () => AnyNode().ClockOffset -= TimeSpan.FromSeconds(random.Uniform(0.5, 90)));
        Plan(Fault.GuestDeath, 1, EndGuest);
        Plan(Fault.HostLoss, 2, () => Lose(AnyHost()));
        cluster.Scheduler.After(cluster.Faults.End, End);
    }

    /// <summary>Networks heal, clocks are right, and everything that was down starts.</summary>
    private void End()
    {
        cluster.Trace?.Note("=== faults end");
        cluster.Links.Heal();
        cluster.StoreIsAway = false;
        foreach (Node node in Nodes())
        {
            node.ClockOffset = TimeSpan.Zero;
        }

        foreach (ServiceProcess service in cluster.Services)
        {
            service.Start();
        }

        foreach (SimulatedHost host in cluster.Hosts)
        {
            host.StartAgent();
        }

        cluster.Broker.FlushAll();
    }

    /// <summary>A host is lost; some come back by themselves.</summary>
    public void Lose(SimulatedHost host)
    {
        if (host.LostAt is null)
        {
            host.Lose();
            if (random.NextInt(2) == 0)
            {
                cluster.Scheduler.After(TimeSpan.FromSeconds(random.Uniform(0.5, 40)), host.ComeBack);
            }
        }
    }

    private void Plan(Fault kind, int most, Action strike)
    {
        double rate = cluster.Faults.RateOf(kind);
        int count = rate > 0 ? 1 + random.NextInt(most) : 0;
        for (int i = 0; i < count; i++)
        {
            cluster.Scheduler.After(cluster.Faults.End * random.NextDouble(), () =>
            {
                if (cluster.Faults.Happens(kind))
                {
                    strike();
                }
            });
        }
    }

    private void StopAgent()
    {
        SimulatedHost host = AnyHost();
        host.Agent?.Stop();
        cluster.Scheduler.After(TimeSpan.FromMilliseconds(random.Uniform(50, 4000)), host.StartAgent);
    }

    /// <summary>Two nodes cannot reach each other, or one is cut off from all.</summary>
    private void Cut(bool bothWays)
    {
        List<Node> nodes = [.. Nodes(), cluster.StoreNode, cluster.BrokerNode];
        Node one = nodes[random.NextInt(nodes.Count)];
        List<Node> others = random.NextInt(3) == 0 ? nodes : [nodes[random.NextInt(nodes.Count)]];
        TimeSpan time = TimeSpan.FromSeconds(random.Uniform(0.2, 8));
        bool outwards = random.NextInt(2) == 0;
        foreach (Node other in others.Where(other => other != one))
        {
            cluster.Trace?.Note($"{one.Name} {(bothWays ? "<->" : outwards ? "-/->" : "<-/-")} {other.Name} for {time.TotalSeconds:F3} s");
            if (bothWays || outwards)
            {
                cluster.Links.Cut(one, other, time);
            }

            if (bothWays || !outwards)
            {
                cluster.Links.Cut(other, one, time);
            }
        }

        cluster.Scheduler.After(time + TimeSpan.FromTicks(1), cluster.Broker.FlushAll);
    }

    private void EndGuest()
    {
        List<Guest> guests = [.. cluster.Hosts.SelectMany(host => host.Guests)];
        if (guests.Count > 0)
        {
            Guest guest = guests[random.NextInt(guests.Count)];
            cluster.Truth.Dying(guest);
            guest.Become(null);
        }
    }

    private SimulatedHost AnyHost() => cluster.Hosts[random.NextInt(cluster.Hosts.Count)];

    private Node AnyNode() => Nodes().ElementAt(random.NextInt(cluster.Hosts.Count + cluster.Services.Count));

    private IEnumerable<Node> Nodes() => cluster.Hosts.Select(host => host.Node).Concat(cluster.Services.Select(service => service.Node));
}
