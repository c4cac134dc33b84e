using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Protocol.Tests.Faults;
using SpecMesh.Protocol.Tests.Hosts;
using SpecMesh.Speculation;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Protocol.Tests.Running;

/// <summary>What the callers want in a schedule: machines that run or do not, operations one after another and at once on the same machine, cancels at any moment, maintenance.</summary>
internal sealed class Workload
{
    /// <summary>Most operations that a schedule asks for.</summary>
    public const int MostOperations = 5;

    private readonly Cluster cluster;
    private readonly Prng random;
    private readonly List<string> vms;
    private readonly List<Request> requests = [];
    private int unanswered;

    public Workload(Cluster cluster, Prng random)
    {
        this.cluster = cluster;
        this.random = random;
        vms = [.. Enumerable.Range(1, 2 + random.NextInt(3)).Select(i => $"vm-{i}")];
    }

    /// <summary>Requests that are still being told to the service.</summary>
    public int Unanswered => unanswered;

    /// <summary>Operations that were asked for.</summary>
    public IEnumerable<Guid> Operations => requests.Select(request => request.Submit.OperationId).Distinct();

    /// <summary>Lays out the machines and plans the requests.</summary>
    public void Begin()
    {
        foreach (SimulatedHost host in cluster.Hosts)
        {
            Append(EventStreams.OfHost(host.Id), EventStreams.HostType, new HostRegistered(host.Id, host.FailureDomain, host.MemoryBytes));
        }

        HashSet<string> running = [];
        for (int i = 0; i < vms.Count; i++)
        {
            cluster.SetWrites(vms[i], 1 + random.NextInt(4));
            SimulatedHost host = cluster.Hosts[random.NextInt(cluster.Hosts.Count)];
            if (random.NextInt(4) > 0)
            {
                running.Add(vms[i]);
                PutOn(host, vms[i], i);
            }
        }

        int count = 1 + random.NextInt(MostOperations);
        TimeSpan at = TimeSpan.Zero;
        string last = vms[0];
        for (int i = 0; i < count; i++)
        {
            at = random.NextInt(3) == 0 ? at + TimeSpan.FromMilliseconds(random.Uniform(0, 50)) : at + TimeSpan.FromSeconds(random.Uniform(0, 6));
            string vm = i > 0 && random.NextInt(3) == 0 ? last : vms[random.NextInt(vms.Count)];
            Request request = NewRequest(i, at, vm, running.Contains(vm) != (random.NextInt(8) == 0));
            running.Add(vm);
            last = vm;
            if (!cluster.Plan.OmittedOperations.Contains(i))
            {
                requests.Add(request);
                Schedule(request);
            }
        }

        PlanMaintenance();
    }

    private Request NewRequest(int number, TimeSpan at, string vm, bool migrate)
    {
        // Of its own, so that leaving another request out does not change this one.
        Prng own = random.Split();
        Guid id = new(number + 1, (short)(cluster.Plan.Seed & 0x7FFF), 0, 0, 0, 0, 0, 0, 0, 0, 3);
        string? manager = own.NextInt(6) switch { 0 => "retry-same-server", 1 => "retry-repick", _ => null };
        int? sq = manager is null ? 1 + own.NextInt(4) : null;
        string? choice = own.NextInt(3) switch { 0 => "random", 1 => "least-loaded", _ => null };
        CostLimits? cost = own.NextInt(5) switch
        {
            0 => new CostLimits(own.Uniform(0.3, 2)),
            1 => null,
            2 => new CostLimits(20, MaxBytes: 4096 * (2 + own.NextInt(40)), MinProgress: 0.2, AbortLast: own.NextInt(2) == 0),
            _ => new CostLimits(20),
        };
        ReplicationWish? wish = manager is not null ? null : own.NextInt(4) switch
        {
            0 => new ReplicationWish("hedged", HedgeDelaySeconds: own.Uniform(0.05, 2)),
            // Few values, so that an operation has one of its kind before it.
            1 => new ReplicationWish("adaptive", Epsilon: own.Uniform(0.0001, 0.2) switch { < 0.05 => 0.001, < 0.15 => 0.07, _ => 0.2 }),
            _ => null,
        };
        sq = wish?.Policy == "adaptive" ? null : sq;
        IReadOnlyList<string>? targets = own.NextInt(6) == 0 ? Targets(sq ?? 1, own) : null;
        VmDefinition? definition = migrate ? null : new VmDefinition(Cluster.MemoryBytes);
        SubmitSpecOp submit = new(id, migrate ? OperationKind.Migrate : OperationKind.PowerOn, vm, sq, targets, cost, choice, manager, definition, "client", wish);
        List<TimeSpan> cancels = [];
        if (own.NextInt(4) == 0)
        {
            for (int i = 1 + own.NextInt(2); i > 0; i--)
            {
                // Before the request is there, in the thick of it, and long after its end.
                double seconds = own.NextInt(4) switch { 0 => own.Uniform(-0.1, 0.1), 1 => own.Uniform(20, 60), _ => own.Uniform(0, 4) };
                cancels.Add(at + TimeSpan.FromSeconds(seconds));
            }
        }

        return new Request(submit, at, own.NextInt(2) == 0, cancels, own.NextInt(10) == 0, own);
    }

    private List<string> Targets(int sq, Prng own)
    {
        List<string> targets = [.. own.Shuffle(cluster.Hosts.Select(host => host.Id)).Take(sq + own.NextInt(2))];
        if (own.NextInt(10) == 0)
        {
            targets[0] = "nowhere";
        }

        return targets;
    }

    private void Schedule(Request request)
    {
        cluster.Scheduler.After(request.At, () => Tell(request.Submit, request.OverHttp));
        if (request.Twice)
        {
            cluster.Scheduler.After(request.At + TimeSpan.FromSeconds(request.Random.Uniform(0, 10)), () => Tell(request.Submit, !request.OverHttp));
        }

        foreach (TimeSpan cancel in request.Cancels)
        {
            cluster.Scheduler.After(cancel, () => Tell(new CancelSpecOp(request.Submit.OperationId, "client"), request.Random.NextInt(2) == 0));
        }
    }

    private void PlanMaintenance()
    {
        if (random.NextInt(5) == 0)
        {
            string host = cluster.Hosts[random.NextInt(cluster.Hosts.Count)].Id;
            double at = random.Uniform(0, 8);
            cluster.Scheduler.After(TimeSpan.FromSeconds(at), () => cluster.Broker.Accept(new SetHostMaintenance(host, true), null, cluster.NextMessageId()));
            cluster.Scheduler.After(TimeSpan.FromSeconds(at + random.Uniform(0, 10)), () => cluster.Broker.Accept(new SetHostMaintenance(host, false), null, cluster.NextMessageId()));
        }
    }

    /// <summary>A caller tells its request until it has an answer: over the bus, or directly.</summary>
    private void Tell<T>(T message, bool overHttp)
        where T : class
    {
        unanswered++;
        cluster.Trace?.Note($"client -> {message}{(overHttp ? " over HTTP" : "")}");
        _ = overHttp ? CallAsync(message) : PublishAsync(message);
    }

    private async Task CallAsync<T>(T message)
        where T : class
    {
        bool answered = false;
        while (!answered)
        {
            (answered, _) = await cluster.Calls.CallAsync(
                cluster.ClientNode, TimeSpan.FromSeconds(5), policy => policy.Get<SagaRunner<SpecOpState>>().HandleAndReadAsync(message, CancellationToken.None));
            if (!answered)
            {
                await cluster.Client.Pause(TimeSpan.FromMilliseconds(random.Uniform(200, 2000)));
            }
        }

        unanswered--;
    }

    private async Task PublishAsync(object message)
    {
        bool confirmed = false;
        while (!confirmed)
        {
            await cluster.Client.Pause(cluster.Links.Delay());
            if (!cluster.Faults.Strikes(Fault.MessageLost, 0.3))
            {
                cluster.Broker.Accept(message, null, cluster.NextMessageId());
                confirmed = !cluster.Faults.Strikes(Fault.ConfirmLost, 0.3);
            }
        }

        unanswered--;
    }

    /// <summary>A machine that was powered on before the schedule begins.</summary>
    private void PutOn(SimulatedHost host, string vm, int number)
    {
        Guid earlier = new(1000 + number, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3);
        Guest guest = host.Build(vm, earlier, 0, 0, powerOn: true);
        Append(
            EventStreams.OfVm(vm),
            EventStreams.VmType,
            new VmDefined(vm, new VmDefinition(Cluster.MemoryBytes)),
            new OperationOpened(vm, earlier, OperationKind.PowerOn, 0),
            new OwnershipTransferred(vm, earlier, 0, host.Id, 1, 0, "0000000000000000"),
            new OperationClosed(vm, earlier, OperationOutcome.Succeeded));
        Append(EventStreams.OfHost(host.Id), EventStreams.HostType, new VmAllocated(host.Id, vm, Cluster.MemoryBytes));
        guest.Become(GuestState.Running);
    }

    private void Append(string stream, string type, params object[] events) => cluster.Store.Commit(
        new EventStore.Commit("before", [new EventStore.StreamAppend(stream, type, cluster.Store.Read(stream, 0, 1000).Count, events)], []), Engine.NodeClock.Start);

    private sealed record Request(SubmitSpecOp Submit, TimeSpan At, bool OverHttp, IReadOnlyList<TimeSpan> Cancels, bool Twice, Prng Random);
}
