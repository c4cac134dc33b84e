using System.Text.Json;
using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.Protocol.Tests.Running;
using SpecMesh.Speculation.Placement;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Protocol.Tests;

/// <summary>DESIGN section 5: "A recorded event stream of a live operation, re-decided, MUST give the same events." Also one that was recorded among crashes and lost messages.</summary>
public sealed class RedecisionTests
{
    [Fact]
    public void every_operation_of_a_schedule_is_reproduced_event_by_event()
    {
        int events = 0;
        for (ulong seed = 1; seed <= 300; seed++)
        {
            Cluster cluster = Schedule.Run(new Plan(seed));
            foreach (Guid id in cluster.Workload.Operations)
            {
                List<RecordedEvent> recorded = [.. cluster.Store.Read(EventStreams.OfOperation(id), 0, int.MaxValue).Select(stored => Recorded(cluster, stored))];
                events += recorded.Count;
                string? difference = Redecision.FirstDifference(id, recorded);
                Assert.True(difference is null, $"Seed {seed}, operation {id}: {difference}");
            }
        }

        Assert.True(events > 1000, $"Only {events} events were decided again.");
    }

    [Fact]
    public void every_number_of_replicas_of_a_schedule_is_decided_again_from_its_record()
    {
        int events = 0;
        for (ulong seed = 1; seed <= 300; seed++)
        {
            Cluster cluster = Schedule.Run(new Plan(seed));
            SpeculationState state = SpeculationState.None;
            foreach (StoredEvent stored in cluster.Store.Read(EventStreams.Speculation, 0, int.MaxValue))
            {
                SpeculationQuestion question = cluster.Store.Headers[stored.Sequence]().Deserialize<SpeculationQuestion>(ContractJson.Options)!;
                Assert.Equal(Json(stored.Data), Json(SpeculationDecider.Decide(state, question).Recorded));
                state = SpeculationState.Evolve(state, stored.Data);
                events++;
            }
        }

        Assert.True(events > 300, $"Only {events} events were decided again.");
    }

    private static string Json(object @event) => JsonSerializer.Serialize(@event, @event.GetType(), ContractJson.Options);

    private static RecordedEvent Recorded(Cluster cluster, StoredEvent stored) => new(
        stored.Data, cluster.Store.Headers.TryGetValue(stored.Sequence, out Func<JsonElement>? headers) ? headers().Deserialize<DecidedFrom>(ContractJson.Options) : null);
}
