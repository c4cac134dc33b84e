namespace SpecMesh.Simulator.Workloads;

/// <summary>The workloads of the evaluation.</summary>
public enum Workload
{
    /// <summary>Overloaded servers shed machines to underloaded ones.</summary>
    Capacity,

    /// <summary>Machines for tests are launched.</summary>
    Ci,

    /// <summary>All servers are evacuated and upgraded, some at a time.</summary>
    Upgrade,
}

/// <summary>Runs a workload by its name.</summary>
public static class WorkloadRun
{
    /// <summary>One run.</summary>
    public static RunResult Run(Workload workload, RunOptions options) => workload switch
    {
        Workload.Ci => CiWorkload.Run(options),
        Workload.Capacity => CapacityWorkload.Run(options),
        Workload.Upgrade => UpgradeWorkload.Run(options),
        _ => throw new ArgumentOutOfRangeException(nameof(workload), workload, "There is no such workload."),
    };
}
