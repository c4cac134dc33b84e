using System.Security.Cryptography;
using SpecMesh.Speculation.Replication;
using Xunit.Abstractions;

namespace SpecMesh.Speculation.Tests.Replication;

/// <summary>The third claim of the evaluation: dynamic control of the number of replicas lowers cost and raises benefit.</summary>
public sealed class PhasedScenarioTests(ITestOutputHelper output)
{
    private const int MostReplicas = 6;

    [Fact]
    public void adaptive_reaches_its_epsilon_with_fewer_replicas_than_the_cheapest_fixed_number_that_does()
    {
        for (int i = 0; i < 3; i++)
        {
            ulong seed = BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8));
            Compare(seed);
        }
    }

    private void Compare(ulong seed)
    {
        double wanted = 1 - AdaptiveOptions.Default.Epsilon;
        PhasedScenario adaptive = new PhasedScenario(seed).Run(PhasedScenario.Adaptive(AdaptiveOptions.Default));
        output.WriteLine($"seed {seed}: adaptive {adaptive.Success:F4} at {adaptive.ReplicasPerOperation:F3} replicas per operation");
        Assert.True(adaptive.Success >= wanted, $"seed {seed}: adaptive reached {adaptive.Success:F4} of {wanted}");
        for (int k = 1; k <= MostReplicas; k++)
        {
            PhasedScenario same = new PhasedScenario(seed).Run(PhasedScenario.Fixed(k));
            output.WriteLine($"seed {seed}: SQ={k} {same.Success:F4}");
            if (same.Success >= wanted)
            {
                Assert.True(adaptive.ReplicasPerOperation < k, $"seed {seed}: adaptive needed {adaptive.ReplicasPerOperation:F3} replicas, SQ={k} reaches it too");
                return;
            }
        }

        output.WriteLine($"seed {seed}: no fixed number up to {MostReplicas} reaches it");
    }
}
