using SpecMesh.Simulator.Engine;
using SpecMesh.Simulator.Model;
using SpecMesh.Speculation.Workflows;

namespace SpecMesh.Simulator.Workloads;

/// <summary>
/// Rolling upgrade: some servers at a time are evacuated, upgraded and put back. A machine goes to an upgraded server when one has room, so that it need not move again, else to one that is
/// still to be upgraded. A machine whose operation failed is tried again, with new targets, when the invocation's time is over.
/// </summary>
public sealed class UpgradeWorkload : IOperationOwner
{
    private const uint DurationPurpose = 29, TargetPurpose = 23;

    private readonly RunOptions options;
    private readonly ModelState state;
    private readonly Parameters parameters;
    private readonly Cluster cluster;
    private readonly AdaptiveTargets? adaptive, hedging;
    private readonly RandomStream targets, durations;
    private readonly RoomIndex upgraded, pending;
    private readonly UpgradeState[] states;
    private readonly byte[] leaving;
    private readonly byte[] tries;
    private readonly MachineState[] machines;
    private int nextServer;
    private int done;
    private long endNs;
    private long startedReplicas, costAborts;

    private UpgradeWorkload(RunOptions options)
    {
        this.options = options;
        parameters = options.Parameters;
        cluster = new Cluster(options, this, server => states![server] is UpgradeState.Evacuating or UpgradeState.Upgrading);
        state = new ModelState(cluster.Queue, cluster.Faults, cluster.Race, cluster);
        adaptive = options.Policy.IsAdaptive ? new AdaptiveTargets(options.Servers, parameters) : null;
        hedging = options.Policy.Kind == ManagerKind.Hedged ? new AdaptiveTargets(options.Servers, parameters) : null;
        targets = new(options.Seed, TargetPurpose);
        durations = new(options.Seed, DurationPurpose);
        states = new UpgradeState[options.Servers];
        leaving = new byte[options.Servers];
        tries = new byte[cluster.Fleet.Vms];
        machines = new MachineState[cluster.Fleet.Vms];
        upgraded = new RoomIndex(options.Servers, Fleet.SizeUnits);
        pending = new RoomIndex(options.Servers, Fleet.SizeUnits);
        for (int server = 0; server < options.Servers; server++)
        {
            pending.Add(server, cluster.Fleet.FreeUnits(server));
        }
    }

    /// <summary>What a machine waits for.</summary>
    private enum MachineState : byte
    {
        Here,
        Moving,
        Waiting,
    }

    /// <summary>Runs until every server is upgraded.</summary>
    public static RunResult Run(RunOptions options)
    {
        UpgradeWorkload workload = new(options);
        int places = Math.Max(1, (int)((long)workload.parameters.UpgradesPer1024 * options.Servers / 1024));
        for (int place = 0; place < places; place++)
        {
            workload.BeginNextServer();
        }

        workload.cluster.Network.Settle();
        Handler handler = new(workload);
        RunSummary summary = RunLoop.Run(workload.cluster.Queue, ref handler, options.EndNs);
        return workload.Result(summary);
    }

    /// <inheritdoc/>
    public void Won(int operation, int winner)
    {
        ref Operation won = ref cluster.Race.OperationAt(operation);
        int vm = won.Subject, source = won.Source;
        machines[vm] = MachineState.Here;
        Settle(operation, cluster.Race.ReplicaAt(winner).Server);
        Left(source);
    }

    /// <inheritdoc/>
    public void Lost(int operation)
    {
        ref Operation lost = ref cluster.Race.OperationAt(operation);
        int vm = lost.Subject, source = lost.Source;
        machines[vm] = MachineState.Waiting;
        cluster.Queue.Push(Math.Max(cluster.Queue.NowNs, lost.DeadlineNs), EventKind.TryAgain, (uint)vm);
        Settle(operation, target: -1);
        Left(source);
    }

    /// <inheritdoc/>
    public void Learned(int server, bool failed) => (adaptive ?? hedging)?.Learn(server, failed, SimTime.ToSeconds(cluster.Queue.NowNs));

    private bool IsOver => done == options.Servers;

    private void Handle(SimEvent happened)
    {
        if (IsOver)
        {
            return;
        }

        switch (happened.Kind)
        {
            case EventKind.TryAgain:
                machines[(int)happened.Entity] = MachineState.Here;
                BeginMoves(cluster.Fleet.ServerOf((int)happened.Entity));
                break;
            case EventKind.UpgradeEnd:
                UpgradeEnded((int)happened.Entity);
                break;
            default:
                cluster.Handle(happened);
                break;
        }

        cluster.Network.Settle();
    }

    private void Settle(int operation, int target)
    {
        startedReplicas += cluster.Race.OperationAt(operation).Started;
        costAborts += cluster.Race.OperationAt(operation).CostAborts;
        cluster.Settle(operation, target);
        foreach (int host in cluster.Race.TargetsOf(operation))
        {
            Update(host);
        }
    }

    private void Update(int server)
    {
        upgraded.Update(server, cluster.Fleet.FreeUnits(server));
        pending.Update(server, cluster.Fleet.FreeUnits(server));
    }

    private void BeginNextServer()
    {
        if (nextServer == options.Servers)
        {
            return;
        }

        int server = nextServer++;
        states[server] = UpgradeState.Evacuating;
        pending.Remove(server);
        // What was on its way here has to go elsewhere; its manager sees a replica that failed.
        while (cluster.Race.FirstOnServer(server) is >= 0 and var replica)
        {
            cluster.Race.Abort(replica);
        }

        BeginMoves(server);
    }

    private void Left(int server)
    {
        leaving[server]--;
        BeginMoves(server);
    }

    /// <summary>Moves as many machines as may leave at the same time; the upgrade begins when none is left.</summary>
    private void BeginMoves(int server)
    {
        if (states[server] != UpgradeState.Evacuating)
        {
            return;
        }

        int vm = cluster.Fleet.FirstVm(server);
        if (vm < 0)
        {
            states[server] = UpgradeState.Upgrading;
            double seconds = durations.Uniform(parameters.UpgradeMinSeconds, parameters.UpgradeMaxSeconds, (uint)server, 0);
            cluster.Queue.Push(cluster.Queue.NowNs + SimTime.FromSeconds(seconds), EventKind.UpgradeEnd, (uint)server);
            return;
        }

        for (; vm >= 0 && leaving[server] < parameters.OperationsPerSource; vm = cluster.Fleet.NextVm(vm))
        {
            if (machines[vm] == MachineState.Here)
            {
                BeginMove(vm, server);
            }
        }
    }

    private void BeginMove(int vm, int source)
    {
        Span<int> hosts = stackalloc int[AdaptiveTargets.MostCandidates];
        int found = ChooseTargets(vm, source, hosts);
        long deadlineNs = cluster.Queue.NowNs + SimTime.FromSeconds(parameters.InvocationSeconds);
        uint draw = tries[vm]++;
        if (draw == byte.MaxValue && parameters.AbortLast)
        {
            throw new InvalidOperationException($"Machine {vm} of {cluster.Fleet.MemoryBytes(vm) / 1e9} GB was tried {draw} times: with abortLast, a limit that it cannot meet never lets the upgrade end.");
        }

        if (found == 0)
        {
            machines[vm] = MachineState.Waiting;
            cluster.Queue.Push(deadlineNs, EventKind.TryAgain, (uint)vm);
            return;
        }

        machines[vm] = MachineState.Moving;
        leaving[source]++;
        cluster.Open(vm, draw, source, hosts[..found], deadlineNs, counted: true);
        foreach (int host in hosts[..found])
        {
            Update(host);
        }
    }

    private int ChooseTargets(int vm, int source, Span<int> hosts)
    {
        int units = cluster.Fleet.UnitsOf(vm);
        uint part = 0;
        int found = Pick(upgraded, vm, units, hosts[..(adaptive?.Sample ?? options.Policy.Replicas)], 0, ref part);
        // An upgraded server spares the machine a second move, so the others are asked only for what is missing.
        int wanted = adaptive is null ? options.Policy.Replicas : parameters.AdaptiveMaxReplicas;
        int first = found;
        found = found >= wanted ? found : Pick(pending, vm, units, hosts[..wanted], found, ref part);
        hedging?.BestFirst(hosts[..first], SimTime.ToSeconds(cluster.Queue.NowNs));
        hedging?.BestFirst(hosts[first..found], SimTime.ToSeconds(cluster.Queue.NowNs));
        if (adaptive is null || found == 0)
        {
            return found;
        }

        int left = 0;
        double bytes = 0;
        for (int other = cluster.Fleet.FirstVm(source); other >= 0; other = cluster.Fleet.NextVm(other))
        {
            left++;
            bytes += cluster.Fleet.MemoryBytes(other);
        }

        return adaptive.ChooseSoonest(hosts[..found], SimTime.ToSeconds(cluster.Queue.NowNs), left, bytes / cluster.Network.NicBytesPerSecond, parameters.InvocationSeconds);
    }

    private int Pick(RoomIndex servers, int vm, int units, Span<int> hosts, int found, ref uint part)
    {
        int first = found;
        int count = servers.Count(units);
        while (found < hosts.Length && found - first < count)
        {
            int server = servers.At(units, targets.Below(count, (uint)vm, tries[vm], part++));
            if (!hosts[first..found].Contains(server))
            {
                hosts[found++] = server;
            }
        }

        return found;
    }

    private void UpgradeEnded(int server)
    {
        states[server] = UpgradeState.Upgraded;
        upgraded.Add(server, cluster.Fleet.FreeUnits(server));
        done++;
        endNs = cluster.Queue.NowNs;
        BeginNextServer();
    }

    private RunResult Result(RunSummary summary)
    {
        Dictionary<string, double> values = new()
        {
            [Metrics.UpgradeHours] = SimTime.ToSeconds(endNs) / 3600,
            [Metrics.AttemptsPerVm] = startedReplicas / (double)cluster.Fleet.Vms,
        };
        if (cluster.Migrations.Costs is not null)
        {
            values[Metrics.CostAbortsPerOperation] = costAborts / (double)Math.Max(1, cluster.Race.Opened);
        }

        return new(values, summary.Events, summary.TraceHash);
    }

    private readonly struct Handler(UpgradeWorkload workload) : IEventHandler
    {
        public void Handle(SimEvent happened)
        {
            workload.Handle(happened);
            workload.options.Watch?.Invoke(workload.state);
        }
    }
}
