using SpecMesh.Simulator.Engine;
using SpecMesh.Simulator.Model;

namespace SpecMesh.Simulator.Workloads;

/// <summary>The parts of the model that workloads of migrations share, put together, and the events that mean the same to all of them.</summary>
public sealed class Cluster
{
    private const uint SlowPurpose = 37;

    private readonly Parameters parameters;

    /// <param name="options">The run.</param>
    /// <param name="owner">The workload.</param>
    /// <param name="refusing">Servers that take no replicas for another reason than a failure; null: none do.</param>
    public Cluster(RunOptions options, IOperationOwner owner, Func<int, bool>? refusing = null)
    {
        parameters = options.Parameters;
        const double Gb = 1e9;
        Faults = new(Queue, parameters.FaultsOf(options.FailedShare), options.Servers, options.Seed);
        Fleet = new(options.Servers, parameters.VmsPerServer, parameters.ServerMemoryGb, parameters.DirtyMinPagesPerSecond, parameters.DirtyMaxPagesPerSecond, options.Seed) { IsUnlimited = parameters.Validation };
        Network = new(Queue, options.Servers, parameters.NicGbPerSecond * Gb, parameters.StreamGbPerSecond * Gb, !parameters.Validation, parameters.Network == NetworkSharing.MaxMin) { TargetBytesPerSecond = SlowTargets(options) };
        Race = new(Queue, Faults, options.Policy.ConductWith(parameters, normalSeconds: 30), options.Servers);
        MigrationModel model = new(
            new PreCopyLimits(parameters.StopPages, parameters.MaxRounds, parameters.MaxSentFactor, parameters.StopSeconds, parameters.Dirtying), parameters.WorkingSetShare, parameters.MigrationErrorMinSeconds, parameters.MigrationErrorMaxSeconds);
        MigrationLimits limits = new(parameters.TimeoutSeconds, parameters.MaxBytesFactor, parameters.MinProgress, parameters.AbortLast);
        Migrations = new(Queue, Race, Network, Fleet, model, options.Seed) { RefusingServers = refusing, Costs = limits.IsNone ? null : new MigrationCosts(Queue, Race, limits) };
        Race.Connect(Migrations, owner);
    }

    /// <summary>The events to come.</summary>
    public EventQueue Queue { get; } = new();

    /// <summary>Which servers are failed.</summary>
    public FaultInjector Faults { get; }

    /// <summary>Servers and machines.</summary>
    public Fleet Fleet { get; }

    /// <summary>What streams are sent over.</summary>
    public Network Network { get; }

    /// <summary>Operations and replicas.</summary>
    public Race Race { get; }

    /// <summary>What replicas do.</summary>
    public Migrations Migrations { get; }

    /// <summary>Memory that is promised to replicas, in units.</summary>
    public long ReservedUnits { get; private set; }

    /// <summary>Carries out an event that is not the workload's own.</summary>
    public void Handle(SimEvent happened)
    {
        switch (happened.Kind)
        {
            case EventKind.FaultEnd:
                ServerFailed(Faults.Replace((int)happened.Entity));
                break;
            case EventKind.ReplicaError when Race.IsCurrent(happened):
                Race.Fail((int)happened.Entity);
                break;
            case EventKind.RoundEnd when Race.IsCurrent(happened):
                Migrations.RoundEnd((int)happened.Entity);
                break;
            case EventKind.CostCheck:
                Migrations.Costs?.Check(happened, Migrations);
                break;
            case EventKind.OperationTimer:
                Race.TimerDue(happened);
                break;
        }
    }

    /// <summary>Opens an operation with its memory promised on every target.</summary>
    public int Open(int vm, uint draw, int source, ReadOnlySpan<int> hosts, long deadlineNs, bool counted)
    {
        foreach (int host in hosts)
        {
            Fleet.Reserve(host, Fleet.UnitsOf(vm));
            ReservedUnits += Fleet.UnitsOf(vm);
        }

        return Race.Open(vm, draw, source, hosts, deadlineNs, counted);
    }

    /// <summary>An operation has closed: its machine moves when a target won, and all other promises are taken back.</summary>
    public void Settle(int operation, int target)
    {
        int vm = Race.OperationAt(operation).Subject;
        foreach (int host in Race.TargetsOf(operation))
        {
            ReservedUnits -= Fleet.UnitsOf(vm);
            if (host != target)
            {
                Fleet.Release(host, Fleet.UnitsOf(vm));
            }
        }

        if (target >= 0)
        {
            Fleet.Move(vm, target);
        }
    }

    /// <summary>Ends every operation that has not ended.</summary>
    public void GiveUpAll()
    {
        for (int operation = 0; operation < Race.OperationPlaces; operation++)
        {
            if (Race.OperationAt(operation).IsOpen)
            {
                Race.GiveUp(operation);
            }
        }
    }

    /// <summary>Exactly as many slow servers as asked for, by lot; null when there are none.</summary>
    private static double[]? SlowTargets(RunOptions options)
    {
        Parameters parameters = options.Parameters;
        if (parameters.SlowShare == 0)
        {
            return null;
        }

        RandomStream lots = new(options.Seed, SlowPurpose);
        double full = parameters.StreamGbPerSecond * 1e9;
        double[] most = new double[options.Servers];
        Array.Fill(most, full);
        foreach (int server in Enumerable.Range(0, options.Servers).OrderBy(server => lots.Bits((uint)server, 0)).Take((int)Math.Round(parameters.SlowShare * options.Servers)))
        {
            most[server] = full * parameters.SlowFactor;
        }

        return most;
    }

    private void ServerFailed(int server)
    {
        if (parameters.MidOperationFailures)
        {
            Race.FailServer(server);
        }

        while (parameters.SourceFailures && Network.FirstOut(server) is >= 0 and var flow)
        {
            Race.GiveUp(Race.ReplicaAt(flow).Operation);
        }
    }
}
