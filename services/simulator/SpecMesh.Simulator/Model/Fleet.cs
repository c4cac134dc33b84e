using SpecMesh.Simulator.Engine;

namespace SpecMesh.Simulator.Model;

/// <summary>
/// Servers and their machines, as arrays of numbers: 22 bytes per machine, so that a million servers with twenty machines each fit into half a gigabyte. What is asked for together lies together: a large cluster is not in the processor's cache. A machine's dirty rate is not
/// stored but drawn when it is asked for, and its demand is drawn at the invocation that first sees it changed.
/// </summary>
public sealed class Fleet
{
    /// <summary>Memory is counted in quarters of a GB (10⁹ bytes), which every size is a whole number of.</summary>
    public const double BytesPerUnit = 0.25e9;

    private const uint SizePurpose = 2, DemandPurpose = 7;
    private const uint SizePart = 1, DirtyRatePart = 2, GapPart = 1;

    /// <summary>Cores, memory units and share of the machines of each size; mean 2.47 cores and 4.32 GB, after the shape of a public trace of Azure.</summary>
    private static readonly (int Cores, int Units, double Share)[] Sizes = [(1, 7, 0.45), (2, 14, 0.33), (4, 28, 0.14), (8, 56, 0.06), (16, 112, 0.02)];

    /// <summary>Memory of the machines of each size, rising.</summary>
    public static ReadOnlySpan<int> SizeUnits => [7, 14, 28, 56, 112];

    private readonly RandomStream sizes, demands;
    private readonly double logDirtyMin, logDirtyRange;
    private readonly Vm[] vms;
    private readonly Room[] rooms;
    private readonly float[] demandShare;
    private readonly ushort[] invocationsUntilChange;

    /// <summary>Places the machines: as many on each server, drawn anew for a server that they do not fit on.</summary>
    public Fleet(int servers, int vmsPerServer, double serverMemoryGb, double dirtyMinPagesPerSecond, double dirtyMaxPagesPerSecond, ulong seed)
    {
        sizes = new(seed, SizePurpose);
        demands = new(seed, DemandPurpose);
        logDirtyMin = PortableMath.Log(dirtyMinPagesPerSecond);
        logDirtyRange = PortableMath.Log(dirtyMaxPagesPerSecond) - logDirtyMin;
        Servers = servers;
        Vms = checked(servers * vmsPerServer);
        vms = new Vm[Vms];
        demandShare = new float[Vms];
        invocationsUntilChange = new ushort[Vms];
        rooms = new Room[servers];
        Array.Fill(rooms, new Room { FirstVm = -1 });
        int capacity = (int)(serverMemoryGb * 1e9 / BytesPerUnit);
        for (int server = 0; server < servers; server++)
        {
            int taken = Populate(server, vmsPerServer, capacity);
            rooms[server].FreeUnits = (short)(capacity - taken);
        }
    }

    /// <summary>Number of servers.</summary>
    public int Servers { get; }

    /// <summary>Number of machines.</summary>
    public int Vms { get; }

    /// <summary>Whether servers take more than they have room for: an assumption of the closed forms.</summary>
    public bool IsUnlimited { get; init; }

    /// <summary>The server that has a machine.</summary>
    public int ServerOf(int vm) => vms[vm].Server;

    /// <summary>A server's first machine; -1: it has none.</summary>
    public int FirstVm(int server) => rooms[server].FirstVm;

    /// <summary>The next machine of the same server; -1: there is none.</summary>
    public int NextVm(int vm) => vms[vm].Next;

    /// <summary>Memory of a machine, in units.</summary>
    public int UnitsOf(int vm) => Sizes[vms[vm].Size].Units;

    /// <summary>Memory of a machine.</summary>
    public double MemoryBytes(int vm) => UnitsOf(vm) * BytesPerUnit;

    /// <summary>Memory of a server that is neither taken nor reserved, in units.</summary>
    public int FreeUnits(int server) => rooms[server].FreeUnits;

    /// <summary>Processor time that a machine asks for, in cores.</summary>
    public double DemandCores(int vm) => Sizes[vms[vm].Size].Cores * demandShare[vm];

    /// <summary>Memory that a guest dirties.</summary>
    public double DirtyBytesPerSecond(int vm) => PreCopy.PageBytes * PortableMath.Exp(logDirtyMin + (logDirtyRange * sizes.Uniform((uint)vm, 0, DirtyRatePart)));

    /// <summary>Promises memory of a server to a replica.</summary>
    public void Reserve(int server, int units)
    {
        if (units > rooms[server].FreeUnits && !IsUnlimited)
        {
            throw new InvalidOperationException($"Server {server} has {rooms[server].FreeUnits} units of memory left, not {units}.");
        }

        rooms[server].FreeUnits -= (short)units;
    }

    /// <summary>Takes a promise back, or frees what a machine had.</summary>
    public void Release(int server, int units) => rooms[server].FreeUnits += (short)units;

    /// <summary>Moves a machine to a server that has its memory reserved; the memory that it had is free.</summary>
    public void Move(int vm, int target)
    {
        Unlink(vm);
        Release(vms[vm].Server, UnitsOf(vm));
        Link(vm, target);
    }

    /// <summary>Draws every machine's first demand, and when it changes.</summary>
    /// <param name="changeProbability">Probability that a demand changes from one invocation to the next.</param>
    public void DrawDemands(double changeProbability)
    {
        for (int vm = 0; vm < Vms; vm++)
        {
            Redraw(vm, 0, changeProbability);
        }
    }

    /// <summary>Demands as a new invocation sees them. Between invocations nobody looks, so nothing is simulated there.</summary>
    public void ChangeDemands(uint invocation, double changeProbability)
    {
        for (int vm = 0; vm < Vms; vm++)
        {
            if (--invocationsUntilChange[vm] == 0)
            {
                Redraw(vm, invocation, changeProbability);
            }
        }
    }

    private void Redraw(int vm, uint invocation, double changeProbability)
    {
        // Beta(1, 2) by inversion; the number of invocations until the next change is geometric, because times between changes are exponential.
        demandShare[vm] = (float)(1 - Math.Sqrt(1 - demands.Uniform((uint)vm, invocation)));
        double gap = 1 + Math.Floor(PortableMath.Log(demands.Uniform((uint)vm, invocation, GapPart)) / PortableMath.Log(1 - changeProbability));
        invocationsUntilChange[vm] = (ushort)Math.Min(gap, ushort.MaxValue);
    }

    private int Populate(int server, int count, int capacity)
    {
        for (uint attempt = 0; ; attempt++)
        {
            int taken = 0;
            for (int i = 0; i < count; i++)
            {
                int vm = (server * count) + i;
                vms[vm].Size = SizeAt(sizes.Uniform((uint)vm, attempt, SizePart));
                taken += UnitsOf(vm);
            }

            if (taken <= capacity)
            {
                for (int i = count - 1; i >= 0; i--)
                {
                    Link((server * count) + i, server);
                }

                return taken;
            }
        }
    }

    private static byte SizeAt(double u)
    {
        byte size = 0;
        while (size < Sizes.Length - 1 && u >= Sizes[size].Share)
        {
            u -= Sizes[size++].Share;
        }

        return size;
    }

    private void Link(int vm, int server)
    {
        ref int first = ref rooms[server].FirstVm;
        ref Vm linked = ref vms[vm];
        (linked.Server, linked.Next, linked.Previous) = (server, first, -1);
        if (first >= 0)
        {
            vms[first].Previous = vm;
        }

        first = vm;
    }

    private void Unlink(int vm)
    {
        ref Vm gone = ref vms[vm];
        if (gone.Previous >= 0)
        {
            vms[gone.Previous].Next = gone.Next;
        }
        else
        {
            rooms[gone.Server].FirstVm = gone.Next;
        }

        if (gone.Next >= 0)
        {
            vms[gone.Next].Previous = gone.Previous;
        }
    }

    private struct Vm
    {
        public int Server, Next, Previous;
        public byte Size;
    }

    private struct Room
    {
        public int FirstVm;
        public short FreeUnits;
    }
}
