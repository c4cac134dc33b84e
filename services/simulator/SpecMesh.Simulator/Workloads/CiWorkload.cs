using SpecMesh.Simulator.Engine;
using SpecMesh.Simulator.Model;

namespace SpecMesh.Simulator.Workloads;

/// <summary>
/// Testing by continuous integration: machines are launched at random times, each on servers that are picked from the whole cluster. A launch whose replicas all fail waits for the next scan
/// of the backlog, which tries it on other servers.
/// </summary>
public sealed class CiWorkload : IReplicaWork, IOperationOwner
{
    private const uint ArrivalPurpose = 2, ErrorPurpose = 3, TargetPurpose = 13, BootPurpose = 17;

    private readonly RunOptions options;
    private readonly ModelState state;
    private readonly Parameters parameters;
    private readonly EventQueue queue = new();
    private readonly FaultInjector faults;
    private readonly Race race;
    private readonly AdaptiveTargets? adaptive, hedging;
    private readonly RandomStream arrivals, errors, targets, boots;
    private readonly double meanGapSeconds;
    private readonly long countFromNs, countToNs;
    private Launch[] launches = new Launch[1024];
    private int freeLaunch = -1;
    private int usedLaunches;
    private int[] backlog = new int[64];
    private int inBacklog;
    private int waiting;
    private uint asked;
    private long counted, attempts;
    private double delaySeconds;

    private CiWorkload(RunOptions options)
    {
        this.options = options;
        parameters = options.Parameters;
        arrivals = new(options.Seed, ArrivalPurpose);
        errors = new(options.Seed, ErrorPurpose);
        targets = new(options.Seed, TargetPurpose);
        boots = new(options.Seed, BootPurpose);
        meanGapSeconds = 1024.0 / (parameters.LaunchesPerSecondPer1024 * options.Servers);
        countFromNs = SimTime.FromSeconds(parameters.WarmUpSeconds);
        countToNs = countFromNs + SimTime.FromSeconds(parameters.LaunchSeconds);
        faults = new(queue, parameters.FaultsOf(options.FailedShare), options.Servers, options.Seed);
        // A launch that failed gets new targets at the next scan under every policy: the naive one has no retry of its own here.
        Conduct conduct = options.Policy.ConductWith(parameters, BootQuantileSeconds(parameters));
        race = new(queue, faults, conduct.Kind == ManagerKind.RetrySameServer ? conduct with { Kind = ManagerKind.AllAtOnce } : conduct, options.Servers);
        race.Connect(this, this);
        state = new ModelState(queue, faults, race, null);
        adaptive = options.Policy.IsAdaptive ? new AdaptiveTargets(options.Servers, parameters) : null;
        hedging = options.Policy.Kind == ManagerKind.Hedged ? new AdaptiveTargets(options.Servers, parameters) : null;
    }

    /// <summary>Runs until every counted launch is up.</summary>
    public static RunResult Run(RunOptions options)
    {
        CiWorkload workload = new(options);
        workload.queue.Push(0, EventKind.Arrival, 0);
        workload.queue.Push(SimTime.FromSeconds(workload.parameters.ScanSeconds), EventKind.Invocation, 0);
        Handler handler = new(workload);
        RunSummary summary = RunLoop.Run(workload.queue, ref handler, options.EndNs);
        return workload.Result(summary);
    }

    /// <inheritdoc/>
    public void Begin(int replica)
    {
        ref Replica begun = ref race.ReplicaAt(replica);
        ref Operation operation = ref race.OperationAt(begun.Operation);
        double seconds = boots.LogNormal(parameters.BootMedianSeconds, parameters.BootSigma, launches[operation.Subject].Number, operation.Draw, begun.Number);
        begun.Event = queue.Push(queue.NowNs + SimTime.FromSeconds(seconds), EventKind.BootEnd, (uint)replica);
    }

    /// <inheritdoc/>
    public bool Refuses(int server) => false;

    /// <inheritdoc/>
    public double ErrorSeconds(int replica)
    {
        ref Replica refused = ref race.ReplicaAt(replica);
        ref Operation operation = ref race.OperationAt(refused.Operation);
        return errors.Uniform(parameters.LaunchErrorMinSeconds, parameters.LaunchErrorMaxSeconds, launches[operation.Subject].Number, operation.Draw, refused.Number);
    }

    /// <inheritdoc/>
    public void End(int replica)
    {
        // A boot that is not waited for any more costs nothing: its event is stale.
    }

    /// <inheritdoc/>
    public void Won(int operation, int winner)
    {
        ref Operation won = ref race.OperationAt(operation);
        ref Launch launch = ref launches[won.Subject];
        if (launch.AskedNs >= countFromNs)
        {
            counted++;
            attempts += launch.Attempts + won.Started;
            delaySeconds += SimTime.ToSeconds(queue.NowNs - launch.AskedNs);
        }

        launch.Next = freeLaunch;
        freeLaunch = won.Subject;
        waiting--;
    }

    /// <inheritdoc/>
    public void Lost(int operation)
    {
        ref Operation lost = ref race.OperationAt(operation);
        ref Launch launch = ref launches[lost.Subject];
        launch.Attempts += lost.Started;
        launch.Tries++;
        if (inBacklog == backlog.Length)
        {
            Array.Resize(ref backlog, inBacklog * 2);
        }

        backlog[inBacklog++] = lost.Subject;
    }

    /// <inheritdoc/>
    public void Learned(int server, bool failed) => (adaptive ?? hedging)?.Learn(server, failed, SimTime.ToSeconds(queue.NowNs));

    private static double BootQuantileSeconds(Parameters p) => p.BootMedianSeconds * PortableMath.Exp(p.BootSigma * PortableMath.NormalQuantile(0.75));

    private bool IsOver => queue.NowNs >= countToNs && waiting == 0;

    private void Handle(SimEvent happened)
    {
        switch (happened.Kind)
        {
            case EventKind.FaultEnd when !IsOver:
                int failed = faults.Replace((int)happened.Entity);
                if (parameters.MidOperationFailures)
                {
                    race.FailServer(failed);
                }

                break;
            case EventKind.ReplicaError when race.IsCurrent(happened):
                race.Fail((int)happened.Entity);
                break;
            case EventKind.BootEnd when race.IsCurrent(happened):
                race.Win((int)happened.Entity);
                break;
            case EventKind.OperationTimer:
                race.TimerDue(happened);
                break;
            case EventKind.Arrival:
                Ask();
                break;
            case EventKind.Invocation when !IsOver:
                Scan();
                break;
        }
    }

    private void Ask()
    {
        int slot = freeLaunch;
        if (slot >= 0)
        {
            freeLaunch = launches[slot].Next;
        }
        else
        {
            slot = usedLaunches++;
            if (slot == launches.Length)
            {
                Array.Resize(ref launches, slot * 2);
            }
        }

        launches[slot] = new Launch { Number = asked++, AskedNs = queue.NowNs };
        waiting++;
        Try(slot);
        long nextNs = queue.NowNs + SimTime.FromSeconds(arrivals.Exponential(meanGapSeconds, asked, 0));
        if (nextNs < countToNs)
        {
            queue.Push(nextNs, EventKind.Arrival, 0);
        }
    }

    private void Scan()
    {
        // Nothing fails at the instant at which it starts, so the backlog does not grow while it is read.
        for (int i = 0; i < inBacklog; i++)
        {
            Try(backlog[i]);
        }

        inBacklog = 0;
        queue.Push(queue.NowNs + SimTime.FromSeconds(parameters.ScanSeconds), EventKind.Invocation, 0);
    }

    private void Try(int slot)
    {
        Span<int> hosts = stackalloc int[AdaptiveTargets.MostCandidates];
        hosts = hosts[..Math.Min(adaptive?.Sample ?? options.Policy.Replicas, options.Servers)];
        uint tries = launches[slot].Tries;
        TargetPicker.PickAny(targets, launches[slot].Number, tries, options.Servers, hosts);
        hedging?.BestFirst(hosts, SimTime.ToSeconds(queue.NowNs));
        hosts = adaptive is null ? hosts : hosts[..adaptive.Choose(hosts, SimTime.ToSeconds(queue.NowNs))];
        race.Open(slot, tries, -1, hosts, long.MaxValue, counted: true);
    }

    private RunResult Result(RunSummary summary) => new(
        new Dictionary<string, double>
        {
            [Metrics.LaunchDelaySeconds] = delaySeconds / counted,
            [Metrics.AttemptsPerVm] = attempts / (double)counted,
        },
        summary.Events,
        summary.TraceHash);

    private struct Launch
    {
        public uint Number, Tries;
        public int Next, Attempts;
        public long AskedNs;
    }

    private readonly struct Handler(CiWorkload workload) : IEventHandler
    {
        public void Handle(SimEvent happened)
        {
            workload.Handle(happened);
            workload.options.Watch?.Invoke(workload.state);
        }
    }
}
