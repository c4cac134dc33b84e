using SpecMesh.Speculation.Replication;

namespace SpecMesh.Speculation.Tests.Replication;

/// <summary>DESIGN section 9: hedged start.</summary>
public sealed class HedgedStartTests
{
    [Theory]
    [InlineData(100, 1, 1, false)]
    [InlineData(109.9, 1, 1, false)]
    [InlineData(110, 1, 1, true)]
    [InlineData(110, 2, 2, false)]
    [InlineData(120, 2, 1, true)]
    [InlineData(500, 3, 1, false)]
    public void replica_j_starts_at_j_times_delta(double now, int started, int live, bool due) => Assert.Equal(due, HedgedStart.IsDue(now, 100, started, live, 3, 10));

    [Fact]
    public void the_next_replica_starts_at_once_when_none_is_left() => Assert.True(HedgedStart.IsDue(101, 100, 1, 0, 3, 10));

    [Fact]
    public void a_replica_that_was_not_planned_never_starts() => Assert.False(HedgedStart.IsDue(1000, 100, 3, 0, 3, 10));

    [Fact]
    public void with_delta_above_the_normal_time_an_operation_costs_what_retries_cost_and_succeeds_as_often_as_replicas()
    {
        const double P = 0.3;
        const int Operations = 200_000, Replicas = 3;
        Prng random = new(99);
        int attempts = 0, succeeded = 0;
        for (int i = 0; i < Operations; i++)
        {
            int started = 0;
            bool won = false;
            while (!won && HedgedStart.IsDue(HedgedStart.NextAtSeconds(0, started, 90), 0, started, live: 0, Replicas, 90))
            {
                started++;
                won = random.NextDouble() >= P;
            }

            attempts += started;
            succeeded += won ? 1 : 0;
        }

        Assert.Equal(1 - Math.Pow(P, Replicas), (double)succeeded / Operations, 2);
        Assert.Equal((1 - Math.Pow(P, Replicas)) / (1 - P), (double)attempts / Operations, 2);
    }
}
