namespace SpecMesh.Simulator.Model;

/// <summary>
/// Max-min fair rates by progressive filling: the link that can give its flows least gives them equal parts, and what they do not use elsewhere is left to others. Only the flows that are
/// connected with a change, by links that they share, are worked out anew.
/// </summary>
internal sealed class MaxMin
{
    private readonly Network network;
    private readonly int[] seenLink;
    private readonly double[] leftOf;
    private readonly int[] openOn;
    private readonly List<int> links = [];
    private readonly List<int> flows = [];
    private readonly HashSet<int> open = [];
    private int stamp;

    public MaxMin(Network network, int servers)
    {
        this.network = network;
        seenLink = new int[2 * servers];
        leftOf = new double[2 * servers];
        openOn = new int[2 * servers];
    }

    /// <summary>Divides the links that are connected with these servers.</summary>
    public void Divide(ReadOnlySpan<int> servers)
    {
        Collect(servers);
        while (open.Count > 0)
        {
            int tightest = -1;
            foreach (int link in links)
            {
                if (openOn[link] > 0 && (tightest < 0 || leftOf[link] / openOn[link] < leftOf[tightest] / openOn[tightest]))
                {
                    tightest = link;
                }
            }

            double part = leftOf[tightest] / openOn[tightest];
            // Even the tightest link gives everybody the stream's cap: so do all others.
            bool isCapped = part >= network.StreamBytesPerSecond;
            foreach (int flow in flows)
            {
                if (open.Contains(flow) && (isCapped || OutOf(flow) == tightest || InOf(flow) == tightest))
                {
                    Fix(flow, isCapped ? network.StreamBytesPerSecond : part);
                }
            }
        }
    }

    private void Fix(int flow, double bytesPerSecond)
    {
        open.Remove(flow);
        foreach (int link in (ReadOnlySpan<int>)[OutOf(flow), InOf(flow)])
        {
            leftOf[link] -= bytesPerSecond;
            openOn[link]--;
        }

        network.SetRate(flow, bytesPerSecond);
    }

    private void Collect(ReadOnlySpan<int> servers)
    {
        stamp++;
        links.Clear();
        flows.Clear();
        open.Clear();
        foreach (int server in servers)
        {
            See(2 * server);
            See((2 * server) + 1);
        }

        for (int i = 0; i < links.Count; i++)
        {
            bool isOut = (links[i] & 1) == 0;
            int server = links[i] >> 1;
            for (int flow = isOut ? network.FirstOut(server) : network.FirstIn(server); flow >= 0; flow = isOut ? network.FlowAt(flow).NextOut : network.FlowAt(flow).NextIn)
            {
                if (open.Add(flow))
                {
                    flows.Add(flow);
                    See(OutOf(flow));
                    See(InOf(flow));
                    openOn[OutOf(flow)]++;
                    openOn[InOf(flow)]++;
                }
            }
        }
    }

    private void See(int link)
    {
        if (seenLink[link] != stamp)
        {
            seenLink[link] = stamp;
            leftOf[link] = network.NicBytesPerSecond;
            openOn[link] = 0;
            links.Add(link);
        }
    }

    private int OutOf(int flow) => 2 * network.FlowAt(flow).Source;

    private int InOf(int flow) => (2 * network.FlowAt(flow).Target) + 1;
}
