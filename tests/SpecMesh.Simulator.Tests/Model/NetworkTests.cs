using SpecMesh.Simulator.Engine;
using SpecMesh.Simulator.Model;

namespace SpecMesh.Simulator.Tests.Model;

public sealed class NetworkTests
{
    private const double Nic = 1.25e9, Cap = 0.3e9;

    [Fact]
    public void four_streams_have_their_cap_and_the_fifth_makes_the_link_short()
    {
        (Network network, _) = Given(isMaxMin: false);
        for (int flow = 0; flow < 4; flow++)
        {
            network.Begin(flow, 0, flow + 1, 1e9);
        }

        network.Settle();
        Assert.All(Enumerable.Range(0, 4), flow => Assert.Equal(Cap, network.FlowAt(flow).BytesPerSecond));
        network.Begin(4, 0, 5, 1e9);
        network.Settle();
        Assert.All(Enumerable.Range(0, 5), flow => Assert.Equal(Nic / 5, network.FlowAt(flow).BytesPerSecond));
        network.End(2);
        network.Settle();
        Assert.Equal(Cap, network.FlowAt(4).BytesPerSecond);
    }

    [Fact]
    public void simple_sharing_leaves_unused_what_another_link_withholds_and_max_min_gives_it_away()
    {
        // Ten streams into server 9, two of them from server 0, which has three more to idle servers.
        foreach (bool isMaxMin in (bool[])[false, true])
        {
            (Network network, _) = Given(isMaxMin, cap: Nic);
            int flow = 0;
            for (int source = 1; source <= 8; source++)
            {
                network.Begin(flow++, source, 9, 1e9);
            }

            network.Begin(flow++, 0, 9, 1e9);
            network.Begin(flow++, 0, 9, 1e9);
            int free = flow;
            for (int target = 10; target < 13; target++)
            {
                network.Begin(flow++, 0, target, 1e9);
            }

            network.Settle();
            Assert.Equal(Nic / 10, network.FlowAt(0).BytesPerSecond, 1.0);
            Assert.Equal(isMaxMin ? (Nic - (2 * Nic / 10)) / 3 : Nic / 5, network.FlowAt(free).BytesPerSecond, 1.0);
        }
    }

    [Fact]
    public void max_min_rates_of_random_streams_are_feasible_and_nobody_can_have_more()
    {
        (Network network, _) = Given(isMaxMin: true);
        RandomStream random = new(5, 1);
        List<int> flows = [];
        for (uint step = 0; step < 300; step++)
        {
            if (step % 3 == 2)
            {
                int gone = flows[random.Below(flows.Count, step, 9)];
                flows.Remove(gone);
                network.End(gone);
            }
            else
            {
                int source = random.Below(12, step, 0), target = (source + 1 + random.Below(11, step, 1)) % 12;
                network.Begin((int)step, source, target, 1e12);
                flows.Add((int)step);
            }

            network.Settle();
            AssertMaxMin(network, flows);
        }
    }

    [Fact]
    public void every_byte_is_counted_once_however_often_rates_change()
    {
        (Network network, EventQueue queue) = Given(isMaxMin: false);
        for (int flow = 0; flow < 12; flow++)
        {
            queue.Push(flow * 100_000_000L, 0, (uint)flow);
            queue.Push(3_000_000_000L + (flow * 70_000_000L), 1, (uint)flow);
        }

        double ended = 0;
        while (queue.TryPop(out SimEvent next))
        {
            if (next.Kind == 0)
            {
                network.Begin((int)next.Entity, 0, 1 + ((int)next.Entity % 5), 1e12);
            }
            else if (next.Kind == 1)
            {
                ended += network.End((int)next.Entity);
            }

            network.Settle();
        }

        Assert.Equal(network.SentBytes, ended, 1e-3);
        // From .4 s to 3.49 s there are at least five streams, which fill the link.
        Assert.InRange(ended, 3.09 * Nic, 3.9 * Nic);
    }

    private static void AssertMaxMin(Network network, List<int> flows)
    {
        double[] leaving = new double[12], reaching = new double[12];
        foreach (int flow in flows)
        {
            leaving[network.FlowAt(flow).Source] += network.FlowAt(flow).BytesPerSecond;
            reaching[network.FlowAt(flow).Target] += network.FlowAt(flow).BytesPerSecond;
        }

        Assert.All(leaving.Concat(reaching), sum => Assert.InRange(sum, 0, Nic * (1 + 1e-9)));
        foreach (int flow in flows)
        {
            // A stream is at its cap, or on a full link on which nobody has more than it.
            double rate = network.FlowAt(flow).BytesPerSecond;
            bool isStopped = rate >= Cap * (1 - 1e-9)
                || (leaving[network.FlowAt(flow).Source] >= Nic * (1 - 1e-9) && flows.Where(other => network.FlowAt(other).Source == network.FlowAt(flow).Source).All(other => network.FlowAt(other).BytesPerSecond <= rate * (1 + 1e-9)))
                || (reaching[network.FlowAt(flow).Target] >= Nic * (1 - 1e-9) && flows.Where(other => network.FlowAt(other).Target == network.FlowAt(flow).Target).All(other => network.FlowAt(other).BytesPerSecond <= rate * (1 + 1e-9)));
            Assert.True(isStopped, $"Stream {flow} could have more than {rate}.");
        }
    }

    private static (Network Network, EventQueue Queue) Given(bool isMaxMin, double cap = Cap)
    {
        EventQueue queue = new();
        Network network = new(queue, 16, Nic, cap, isShared: true, isMaxMin);
        network.Connect(new NobodyWaits());
        return (network, queue);
    }

    private sealed class NobodyWaits : IFlowOwner
    {
        public void RoundEndsAt(int flow, long timeNs)
        {
            // These tests end the flows themselves.
        }
    }
}
