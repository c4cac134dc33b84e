using SpecMesh.Simulator.Engine;
using SpecMesh.Simulator.Model;
using SpecMesh.Speculation.Workflows;

namespace SpecMesh.Simulator.Workloads;

/// <summary>
/// Capacity multiplexing: at every invocation, overloaded servers shed machines to underloaded ones. An operation that has no winner when the algorithm runs again has failed.
/// </summary>
public sealed class CapacityWorkload : IOperationOwner
{
    private const uint TargetPurpose = 11;

    private readonly RunOptions options;
    private readonly ModelState state;
    private readonly Parameters parameters;
    private readonly CapacityOptions rules;
    private readonly Cluster cluster;
    private readonly AdaptiveTargets? adaptive, hedging;
    private readonly RandomStream targets;
    private readonly float[] loadCores;
    private readonly int[] shedFrom, shedTo;
    private readonly int[] candidates;
    private readonly double changeProbability;
    private int candidateCount;
    private int[] shed = new int[1024];
    private int shedCount;
    private uint invocation;
    private bool isCounting;
    private readonly uint firstCounted, lastInvocation;
    private long operations, successes, started, costAborts, targetsFound, overloaded, failedCandidates, allCandidates;
    private double sentBytes, winningBytes, uncontendedBytes;

    private CapacityWorkload(RunOptions options)
    {
        this.options = options;
        parameters = options.Parameters;
        rules = new CapacityOptions(parameters.InvocationSeconds, parameters.OverloadedShare, parameters.UnderloadedShare);
        cluster = new Cluster(options, this);
        state = new ModelState(cluster.Queue, cluster.Faults, cluster.Race, cluster);
        adaptive = options.Policy.IsAdaptive ? new AdaptiveTargets(options.Servers, parameters) : null;
        hedging = options.Policy.Kind == ManagerKind.Hedged ? new AdaptiveTargets(options.Servers, parameters) : null;
        targets = new(options.Seed, TargetPurpose);
        loadCores = new float[options.Servers];
        shedFrom = new int[options.Servers];
        shedTo = new int[options.Servers];
        candidates = new int[options.Servers];
        changeProbability = 1 - PortableMath.Exp(-parameters.InvocationSeconds / parameters.DemandMeanSeconds);
        firstCounted = (uint)Math.Ceiling(parameters.WarmUpSeconds / parameters.InvocationSeconds);
        lastInvocation = (uint)Math.Ceiling((parameters.WarmUpSeconds + parameters.CapacitySeconds) / parameters.InvocationSeconds);
        cluster.Fleet.DrawDemands(changeProbability);
    }

    /// <summary>Runs to the end of the counted time.</summary>
    public static RunResult Run(RunOptions options)
    {
        CapacityWorkload workload = new(options);
        workload.cluster.Queue.Push(0, EventKind.Invocation, 0);
        Handler handler = new(workload);
        RunSummary summary = RunLoop.Run(workload.cluster.Queue, ref handler, options.EndNs);
        return workload.Result(summary);
    }

    /// <inheritdoc/>
    public void Won(int operation, int winner)
    {
        ref Operation won = ref cluster.Race.OperationAt(operation);
        if (won.Counted)
        {
            successes++;
            winningBytes += cluster.Migrations.SentBytes(winner);
            uncontendedBytes += cluster.Migrations.UncontendedBytes(won.Subject);
        }

        cluster.Settle(operation, cluster.Race.ReplicaAt(winner).Server);
        Closed(won);
    }

    /// <inheritdoc/>
    public void Lost(int operation)
    {
        ref Operation lost = ref cluster.Race.OperationAt(operation);
        cluster.Settle(operation, target: -1);
        Closed(lost);
    }

    /// <inheritdoc/>
    public void Learned(int server, bool failed) => (adaptive ?? hedging)?.Learn(server, failed, SimTime.ToSeconds(cluster.Queue.NowNs));

    private void Closed(Operation closed)
    {
        if (closed.Counted)
        {
            started += closed.Started;
            costAborts += closed.CostAborts;
            sentBytes += closed.SentBytes;
        }

        BeginNext(closed.Source);
    }

    private void Handle(SimEvent happened)
    {
        if (happened.Kind == EventKind.Invocation)
        {
            Invoke();
        }
        else if (invocation <= lastInvocation)
        {
            cluster.Handle(happened);
        }

        cluster.Network.Settle();
    }

    private void Invoke()
    {
        Array.Clear(shedTo);
        Array.Clear(shedFrom);
        shedCount = 0;
        cluster.GiveUpAll();
        if (invocation == lastInvocation)
        {
            invocation++;
            return;
        }

        isCounting = invocation >= firstCounted;
        if (invocation > 0)
        {
            cluster.Fleet.ChangeDemands(invocation, changeProbability);
        }

        Observe();
        for (int server = 0; server < options.Servers; server++)
        {
            if (CapacityMultiplexing.IsOverloaded(rules, LoadShare(server)))
            {
                overloaded += isCounting ? 1 : 0;
                Shed(server);
            }
        }

        for (int server = 0; server < options.Servers; server++)
        {
            for (int place = 0; place < parameters.OperationsPerSource; place++)
            {
                BeginNext(server);
            }
        }

        invocation++;
        cluster.Queue.Push(SimTime.FromSeconds(invocation * parameters.InvocationSeconds), EventKind.Invocation, 0);
    }

    private void Observe()
    {
        candidateCount = 0;
        for (int server = 0; server < options.Servers; server++)
        {
            double cores = 0;
            for (int vm = cluster.Fleet.FirstVm(server); vm >= 0; vm = cluster.Fleet.NextVm(vm))
            {
                cores += cluster.Fleet.DemandCores(vm);
            }

            loadCores[server] = (float)cores;
            if (cores < rules.UnderloadShare * parameters.ServerCores)
            {
                candidates[candidateCount++] = server;
                failedCandidates += isCounting && cluster.Faults.IsFailed(server) ? 1 : 0;
            }
        }

        allCandidates += isCounting ? candidateCount : 0;
    }

    private void Shed(int server)
    {
        Span<MachineLoad> loads = stackalloc MachineLoad[256];
        Span<int> vms = stackalloc int[256];
        Span<int> chosen = stackalloc int[256];
        int count = 0;
        for (int vm = cluster.Fleet.FirstVm(server); vm >= 0 && count < loads.Length; vm = cluster.Fleet.NextVm(vm))
        {
            vms[count] = vm;
            loads[count++] = new MachineLoad(cluster.Fleet.DemandCores(vm), (long)cluster.Fleet.MemoryBytes(vm));
        }

        int leaving = CapacityMultiplexing.Shed(rules, parameters.ServerCores, loads[..count], 0, chosen);
        while (shedCount + leaving > shed.Length)
        {
            Array.Resize(ref shed, shed.Length * 2);
        }

        shedFrom[server] = shedCount;
        for (int i = 0; i < leaving; i++)
        {
            shed[shedCount++] = vms[chosen[i]];
        }

        shedTo[server] = shedCount;
    }

    /// <summary>The next machine that leaves a server, when there is one. One that finds no target stays for the next invocation.</summary>
    private void BeginNext(int server)
    {
        Span<int> hosts = stackalloc int[AdaptiveTargets.MostCandidates];
        while (shedFrom[server] < shedTo[server])
        {
            int vm = shed[shedFrom[server]++];
            int found = Pick(vm, hosts[..(adaptive?.Sample ?? options.Policy.Replicas)]);
            found = adaptive?.Choose(hosts[..found], SimTime.ToSeconds(cluster.Queue.NowNs)) ?? found;
            hedging?.BestFirst(hosts[..found], SimTime.ToSeconds(cluster.Queue.NowNs));
            if (found > 0)
            {
                operations += isCounting ? 1 : 0;
                targetsFound += isCounting ? found : 0;
                cluster.Open(vm, invocation, server, hosts[..found], SimTime.FromSeconds((invocation + 1) * parameters.InvocationSeconds), isCounting);
                return;
            }
        }
    }

    /// <summary>
    /// Servers are looked at in random order until enough have room, or too many had none: a manager of a large fleet does not look at all of it for each machine. So every set of servers with
    /// room is equally likely, and large machines, for which few have room, find fewer targets than were wanted.
    /// </summary>
    private int Pick(int vm, Span<int> hosts)
    {
        int found = 0, misses = 0;
        for (uint part = 0; found < hosts.Length && misses < parameters.TargetMisses && candidateCount > 0; part++)
        {
            int server = candidates[targets.Below(candidateCount, (uint)vm, invocation, part)];
            if (HasRoom(server, vm) && !hosts[..found].Contains(server))
            {
                hosts[found++] = server;
            }
            else
            {
                misses++;
            }
        }

        return found;
    }

    /// <summary>Whether a machine fits: into the memory that is left, and without making the server the next that must shed.</summary>
    private bool HasRoom(int server, int vm) =>
        parameters.Validation
        || (CapacityMultiplexing.IsTarget(rules, new ServerRoom(LoadShare(server), (long)(cluster.Fleet.FreeUnits(server) * Fleet.BytesPerUnit)), (long)cluster.Fleet.MemoryBytes(vm))
            && !CapacityMultiplexing.IsOverloaded(rules, LoadShare(server) + (cluster.Fleet.DemandCores(vm) / parameters.ServerCores)));

    private double LoadShare(int server) => loadCores[server] / parameters.ServerCores;

    private RunResult Result(RunSummary summary)
    {
        Dictionary<string, double> values = new()
        {
            [Metrics.SuccessFraction] = successes / (double)Math.Max(1, operations),
            [Metrics.ExcessNetwork] = (sentBytes / winningBytes) - 1,
            [Metrics.ExcessNetworkUncontended] = (sentBytes / uncontendedBytes) - 1,
            [Metrics.ReplicasPerOperation] = started / (double)Math.Max(1, operations),
            [Metrics.TargetsPerOperation] = targetsFound / (double)Math.Max(1, operations),
            [Metrics.OverloadedServers] = overloaded / (double)(lastInvocation - firstCounted),
            [Metrics.FailedShareOfCandidates] = failedCandidates / (double)Math.Max(1, allCandidates),
            [Metrics.Operations] = operations,
        };
        if (cluster.Migrations.Costs is not null)
        {
            values[Metrics.CostAbortsPerOperation] = costAborts / (double)Math.Max(1, operations);
        }

        return new(values, summary.Events, summary.TraceHash);
    }

    private readonly struct Handler(CapacityWorkload workload) : IEventHandler
    {
        public void Handle(SimEvent happened)
        {
            workload.Handle(happened);
            workload.options.Watch?.Invoke(workload.state);
        }
    }
}
