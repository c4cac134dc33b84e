using SpecMesh.Protocol.Tests.Checks;

namespace SpecMesh.Protocol.Tests.Running;

/// <summary>Runs one schedule from its first request until nothing is left to do.</summary>
internal static class Schedule
{
    private const long MostSteps = 3_000_000;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(12);
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(1);

    /// <summary>The cluster as it stands at the end; <see cref="Cluster.Violation"/> tells what was violated.</summary>
    public static Cluster Run(Plan plan)
    {
        SynchronizationContext? before = SynchronizationContext.Current;
        Cluster cluster = new(plan);
        try
        {
            Run(cluster);
        }
        catch (InvariantException violation)
        {
            // Fail has noted it; thrown, it ended the step that led to it.
            cluster.Trace?.Note($"!!! {violation.Message}");
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(before);
        }

        cluster.Coverage.Schedules++;
        cluster.Coverage.Steps += cluster.Scheduler.Steps;
        cluster.Coverage.Operations += cluster.Truth.Operations.Count;
        cluster.Coverage.Refused += cluster.Truth.Operations.Count(operation => operation.Value == Speculation.SpecOps.SpecOpPhase.Refused);
        return cluster;
    }

    private static void Run(Cluster cluster)
    {
        bool quiet = false;
        cluster.Workload.Begin();
        foreach (Services.ServiceProcess service in cluster.Services)
        {
            service.Start();
        }

        foreach (Hosts.SimulatedHost host in cluster.Hosts)
        {
            host.StartAgent();
        }

        cluster.Troubles.Begin();
        cluster.Operator.Begin();
        cluster.Scheduler.After(cluster.Faults.End + Look, () => LookAround(cluster, () => quiet = true));
        while (!quiet && cluster.Violation is null)
        {
            if (!cluster.Scheduler.Step() || cluster.Scheduler.Steps > MostSteps)
            {
                cluster.Fail("R7", $"nothing happens any more, or something happens without an end: {cluster.Scheduler.Steps} steps");
            }
        }
    }

    private static void LookAround(Cluster cluster, Action done)
    {
        if (EndChecks.FirstProblem(cluster) is not { } problem)
        {
            done();
        }
        else if (cluster.Scheduler.Now > cluster.Faults.End + Patience)
        {
            cluster.Fail(problem.Rule, problem.What);
        }
        else
        {
            cluster.Scheduler.After(Look, () => LookAround(cluster, done));
        }
    }
}
