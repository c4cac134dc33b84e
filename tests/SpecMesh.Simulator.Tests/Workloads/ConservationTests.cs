using SpecMesh.Simulator.Model;
using SpecMesh.Simulator.Workloads;

namespace SpecMesh.Simulator.Tests.Workloads;

/// <summary>What holds after every event of every workload, whatever the policy and the faults.</summary>
public sealed class ConservationTests
{
    private const int Servers = 128;

    public static TheoryData<Workload, string, string> Runs
    {
        get
        {
            TheoryData<Workload, string, string> runs = [];
            foreach (Workload workload in Enum.GetValues<Workload>())
            {
                foreach (string policy in (string[])["naive", "sq3", "hedged3", "adaptive"])
                {
                    runs.Add(workload, policy, "");
                }

                runs.Add(workload, "sq5", "sourceFailures=true");
                runs.Add(workload, "sq4", "network=maxMin");
                runs.Add(workload, "sq3", "slowShare=0.2 slowFactor=0.02 timeoutSeconds=60 maxBytesFactor=1.1 minProgress=0.05");
            }

            return runs;
        }
    }

    [Theory]
    [MemberData(nameof(Runs))]
    public void nothing_is_lost_and_nothing_comes_from_nowhere(Workload workload, string policy, string set)
    {
        string[] sets = ["capacitySeconds=3600", "launchSeconds=1200", "warmUpSeconds=600", "vmsPerServer=12", .. set.Split(' ', StringSplitOptions.RemoveEmptyEntries)];
        Parameters parameters = ParameterText.Read(sets, out IReadOnlyList<string> errors);
        Assert.Empty(errors);
        Observer observer = new(parameters);
        RunResult result = WorkloadRun.Run(workload, new RunOptions(Servers, 0.25, PolicyChoice.Read(policy)!, 3, parameters) { Watch = observer.Look });
        Assert.Equal(result.Events, observer.Looks);
        observer.AssertEnded();
    }

    private sealed class Observer(Parameters parameters)
    {
        private ModelState? last;

        public long Looks { get; private set; }

        public void Look(ModelState state)
        {
            last = state;
            Looks++;
            if (Looks % 7 == 0)
            {
                Assert.Equal(32, Enumerable.Range(0, Servers).Count(state.Faults.IsFailed));
                AssertReplicas(state);
                AssertMemoryAndBytes(state);
            }
        }

        public void AssertEnded()
        {
            Assert.NotNull(last);
            Assert.Equal(last.Race.Opened, last.Race.Winners + last.Race.Losses);
            Assert.Equal(0, last.Race.OpenOperations);
            Assert.Equal(0, last.Cluster?.ReservedUnits ?? 0);
            Assert.Equal(0, last.Cluster?.Network.Count ?? 0);
        }

        /// <summary>Each operation has its live replicas on different servers, and only one once a replica holds the gate.</summary>
        private static void AssertReplicas(ModelState state)
        {
            for (int operation = 0; operation < state.Race.OperationPlaces; operation++)
            {
                Operation open = state.Race.OperationAt(operation);
                if (!open.IsOpen)
                {
                    continue;
                }

                List<int> servers = [];
                for (int replica = open.FirstReplica; replica >= 0; replica = state.Race.ReplicaAt(replica).NextOfOperation)
                {
                    servers.Add(state.Race.ReplicaAt(replica).Server);
                    Assert.True(state.Race.ReplicaAt(replica).Phase == ReplicaPhase.Refused || !state.Faults.IsFailed(state.Race.ReplicaAt(replica).Server), "A replica works on a failed server.");
                }

                Assert.Equal(open.Live, servers.Count);
                Assert.Distinct(servers);
                Assert.True(open.Owner < 0 || servers.Count == 1, "A replica holds the gate and has siblings.");
            }
        }

        private void AssertMemoryAndBytes(ModelState state)
        {
            if (state.Cluster is not { } cluster)
            {
                return;
            }

            long taken = Enumerable.Range(0, cluster.Fleet.Vms).Sum(vm => (long)cluster.Fleet.UnitsOf(vm));
            long free = Enumerable.Range(0, Servers).Sum(server => (long)cluster.Fleet.FreeUnits(server));
            Assert.Equal((long)(parameters.ServerMemoryGb * 4) * Servers, taken + free + cluster.ReservedUnits);
            double onTheWay = 0;
            double[] leaving = new double[Servers], reaching = new double[Servers];
            for (int server = 0; server < Servers; server++)
            {
                for (int flow = cluster.Network.FirstOut(server); flow >= 0; flow = cluster.Network.FlowAt(flow).NextOut)
                {
                    onTheWay += cluster.Network.FlowAt(flow).SentBytes;
                    leaving[server] += cluster.Network.FlowAt(flow).BytesPerSecond;
                    reaching[cluster.Network.FlowAt(flow).Target] += cluster.Network.FlowAt(flow).BytesPerSecond;
                }
            }

            Assert.Equal(cluster.Network.SentBytes, cluster.Migrations.EndedBytes + onTheWay, 1e-9 * cluster.Network.SentBytes);
            Assert.All(leaving.Concat(reaching), rate => Assert.InRange(rate, 0, parameters.NicGbPerSecond * 1e9 * (1 + 1e-9)));
        }
    }
}
