using SpecMesh.Simulator.Engine;

namespace SpecMesh.Simulator.Model;

/// <summary>A migration stream on the network.</summary>
public struct Flow
{
    /// <summary>Who sends.</summary>
    public int Source { get; set; }

    /// <summary>Who receives.</summary>
    public int Target { get; set; }

    /// <summary>Links of the flows that leave one server.</summary>
    public int NextOut { get; set; }

    /// <summary>The link back.</summary>
    public int PreviousOut { get; set; }

    /// <summary>Links of the flows that reach one server.</summary>
    public int NextIn { get; set; }

    /// <summary>The link back.</summary>
    public int PreviousIn { get; set; }

    /// <summary>What is left of the round when <see cref="SettledNs"/> was.</summary>
    public double LeftBytes { get; set; }

    /// <summary>Its rate since then; 0 before it was first divided.</summary>
    public double BytesPerSecond { get; set; }

    /// <summary>What it has sent until then, rounds before counted.</summary>
    public double SentBytes { get; set; }

    /// <summary>When rate and rest were last worked out.</summary>
    public long SettledNs { get; set; }
}

/// <summary>Told when a flow's round will end at another time than was thought.</summary>
public interface IFlowOwner
{
    /// <summary>The round ends at this time unless the rate changes again.</summary>
    void RoundEndsAt(int flow, long timeNs);
}

/// <summary>
/// Migration streams share the NICs of their two ends. Rates change when a flow begins or ends; the changes of one event are worked out together, after it, so that a stream that takes
/// another's place disturbs nobody.
/// </summary>
public sealed class Network
{
    private readonly EventQueue queue;
    private readonly double streamBytesPerSecond;
    private readonly bool isShared;
    private readonly double[] shareOf = new double[256];
    private readonly int[] firstOut, firstIn;
    private readonly ushort[] outCount, inCount, settledOut, settledIn;
    private readonly MaxMin? maxMin;
    private int[] touched = new int[64];
    private int touchedCount;
    private int[] begun = new int[64];
    private int begunCount;
    private Flow[] flows = new Flow[1024];
    private IFlowOwner owner = null!;

    /// <param name="queue">Tells the time.</param>
    /// <param name="servers">Servers of the cluster.</param>
    /// <param name="nicBytesPerSecond">What a NIC carries in each direction.</param>
    /// <param name="streamBytesPerSecond">The most that one stream carries.</param>
    /// <param name="isShared">False: every stream has its cap, whatever else is on its links.</param>
    /// <param name="isMaxMin">True: links are divided by max-min fairness instead of equally.</param>
    public Network(EventQueue queue, int servers, double nicBytesPerSecond, double streamBytesPerSecond, bool isShared, bool isMaxMin)
    {
        this.queue = queue;
        this.streamBytesPerSecond = streamBytesPerSecond;
        this.isShared = isShared;
        firstOut = new int[servers];
        firstIn = new int[servers];
        outCount = new ushort[servers];
        inCount = new ushort[servers];
        settledOut = new ushort[servers];
        settledIn = new ushort[servers];
        Array.Fill(firstOut, -1);
        Array.Fill(firstIn, -1);
        for (int count = 0; count < shareOf.Length; count++)
        {
            shareOf[count] = Math.Min(streamBytesPerSecond, nicBytesPerSecond / Math.Max(1, count));
        }

        NicBytesPerSecond = nicBytesPerSecond;
        maxMin = isMaxMin && isShared ? new MaxMin(this, servers) : null;
    }

    /// <summary>The most that one stream to each server carries, where some take less than others; null: all take the same.</summary>
    public double[]? TargetBytesPerSecond { get; init; }

    /// <summary>What a NIC carries in each direction.</summary>
    public double NicBytesPerSecond { get; }

    /// <summary>The most that one stream carries.</summary>
    public double StreamBytesPerSecond => streamBytesPerSecond;

    /// <summary>What all flows together have sent, those that are on their way up to when they were last worked out.</summary>
    public double SentBytes { get; private set; }

    /// <summary>Flows now.</summary>
    public int Count { get; private set; }

    /// <summary>Flows that leave a server.</summary>
    public int OutCount(int server) => outCount[server];

    /// <summary>Flows that reach a server.</summary>
    public int InCount(int server) => inCount[server];

    /// <summary>The first flow that leaves a server; -1: none.</summary>
    public int FirstOut(int server) => firstOut[server];

    /// <summary>The first flow that reaches a server; -1: none.</summary>
    public int FirstIn(int server) => firstIn[server];

    /// <summary>A flow.</summary>
    public ref Flow FlowAt(int flow) => ref flows[flow];

    /// <summary>Says who is told of new times.</summary>
    public void Connect(IFlowOwner told) => owner = told;

    /// <summary>A flow begins with its first round.</summary>
    public void Begin(int flow, int source, int target, double roundBytes)
    {
        while (flow >= flows.Length)
        {
            Array.Resize(ref flows, flows.Length * 2);
        }

        flows[flow] = new Flow { Source = source, Target = target, LeftBytes = roundBytes, SettledNs = queue.NowNs, PreviousOut = -1, PreviousIn = -1, NextOut = firstOut[source], NextIn = firstIn[target] };
        if (firstOut[source] >= 0)
        {
            flows[firstOut[source]].PreviousOut = flow;
        }

        if (firstIn[target] >= 0)
        {
            flows[firstIn[target]].PreviousIn = flow;
        }

        firstOut[source] = flow;
        firstIn[target] = flow;
        Touch(source, ref outCount[source], 1);
        Touch(target, ref inCount[target], 1);
        Count++;
        Append(ref begun, ref begunCount, flow);
    }

    /// <summary>The round that a flow was in is sent to its last byte; the next begins.</summary>
    /// <returns>When it ends unless the rate changes.</returns>
    public long NextRound(int flow, double roundBytes)
    {
        ref Flow moving = ref flows[flow];
        moving.SentBytes += moving.LeftBytes;
        SentBytes += moving.LeftBytes;
        moving.SettledNs = queue.NowNs;
        moving.LeftBytes = roundBytes;
        return EndOf(moving);
    }

    /// <summary>A flow ends here.</summary>
    /// <returns>What it has sent.</returns>
    public double End(int flow)
    {
        ref Flow gone = ref flows[flow];
        SettleOne(ref gone);
        UnlinkOut(gone);
        UnlinkIn(gone);
        Touch(gone.Source, ref outCount[gone.Source], -1);
        Touch(gone.Target, ref inCount[gone.Target], -1);
        Count--;
        gone.Source = -1;
        return gone.SentBytes;
    }

    /// <summary>The last round has been sent: what is left counts as sent, whatever the rounding of times.</summary>
    public void Complete(int flow) => NextRound(flow, 0);

    /// <summary>Works out the rates that the event's changes have changed.</summary>
    public void Settle()
    {
        if (touchedCount == 0 && begunCount == 0)
        {
            return;
        }

        if (maxMin is not null)
        {
            maxMin.Divide(touched.AsSpan(0, touchedCount));
        }
        else
        {
            for (int i = 0; i < touchedCount && isShared; i++)
            {
                SettleServer(touched[i]);
            }

            for (int i = 0; i < begunCount; i++)
            {
                if (flows[begun[i]].BytesPerSecond == 0 && flows[begun[i]].Source >= 0)
                {
                    SetRate(begun[i], RateOf(flows[begun[i]]));
                }
            }
        }

        touchedCount = 0;
        begunCount = 0;
    }

    /// <summary>Gives a flow a rate from now on.</summary>
    internal void SetRate(int flow, double bytesPerSecond)
    {
        ref Flow moving = ref flows[flow];
        if (moving.BytesPerSecond == bytesPerSecond)
        {
            return;
        }

        SettleOne(ref moving);
        moving.BytesPerSecond = bytesPerSecond;
        owner.RoundEndsAt(flow, EndOf(moving));
    }

    private static long EndOf(in Flow moving) => moving.SettledNs + (long)Math.Ceiling(moving.LeftBytes / moving.BytesPerSecond * SimTime.Second);

    private void SettleOne(ref Flow moving)
    {
        double sent = Math.Min(moving.LeftBytes, moving.BytesPerSecond * SimTime.ToSeconds(queue.NowNs - moving.SettledNs));
        moving.LeftBytes -= sent;
        moving.SentBytes += sent;
        SentBytes += sent;
        moving.SettledNs = queue.NowNs;
    }

    /// <summary>A server may stand in the list several times: after the first one, nothing has changed.</summary>
    private void SettleServer(int server)
    {
        bool outChanged = Share(outCount[server]) != Share(settledOut[server]), inChanged = Share(inCount[server]) != Share(settledIn[server]);
        settledOut[server] = outCount[server];
        settledIn[server] = inCount[server];
        if (outChanged)
        {
            for (int flow = firstOut[server]; flow >= 0; flow = flows[flow].NextOut)
            {
                SetRate(flow, RateOf(flows[flow]));
            }
        }

        if (inChanged)
        {
            for (int flow = firstIn[server]; flow >= 0; flow = flows[flow].NextIn)
            {
                SetRate(flow, RateOf(flows[flow]));
            }
        }
    }

    private double RateOf(in Flow flow) => TargetBytesPerSecond is null ? SharedRateOf(flow) : Math.Min(SharedRateOf(flow), TargetBytesPerSecond[flow.Target]);

    private double SharedRateOf(in Flow flow) => isShared ? Math.Min(Share(outCount[flow.Source]), Share(inCount[flow.Target])) : streamBytesPerSecond;

    private double Share(int count) => count < shareOf.Length ? shareOf[count] : Math.Min(streamBytesPerSecond, NicBytesPerSecond / count);

    private void Touch(int server, ref ushort count, int change)
    {
        count = (ushort)(count + change);
        Append(ref touched, ref touchedCount, server);
    }

    private static void Append(ref int[] list, ref int count, int item)
    {
        if (count == list.Length)
        {
            Array.Resize(ref list, count * 2);
        }

        list[count++] = item;
    }

    private void UnlinkOut(in Flow gone)
    {
        if (gone.PreviousOut >= 0)
        {
            flows[gone.PreviousOut].NextOut = gone.NextOut;
        }
        else
        {
            firstOut[gone.Source] = gone.NextOut;
        }

        if (gone.NextOut >= 0)
        {
            flows[gone.NextOut].PreviousOut = gone.PreviousOut;
        }
    }

    private void UnlinkIn(in Flow gone)
    {
        if (gone.PreviousIn >= 0)
        {
            flows[gone.PreviousIn].NextIn = gone.NextIn;
        }
        else
        {
            firstIn[gone.Target] = gone.NextIn;
        }

        if (gone.NextIn >= 0)
        {
            flows[gone.NextIn].PreviousIn = gone.PreviousIn;
        }
    }
}
