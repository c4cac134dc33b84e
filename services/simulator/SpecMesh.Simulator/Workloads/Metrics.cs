namespace SpecMesh.Simulator.Workloads;

/// <summary>Names of what is measured. Units stand last; what has none is a share or a ratio.</summary>
public static class Metrics
{
    /// <summary>Capacity: operations that had a winner before the next invocation, of those that were begun.</summary>
    public const string SuccessFraction = "success_fraction";

    /// <summary>Capacity: all bytes that were sent, over those of the winning migration streams, less 1.</summary>
    public const string ExcessNetwork = "excess_network";

    /// <summary>Capacity: all bytes that were sent, over those that the same machines' migrations send when nothing else is on the network, less 1.</summary>
    public const string ExcessNetworkUncontended = "excess_network_uncontended";

    /// <summary>Capacity: replicas that were started per operation, retries counted.</summary>
    public const string ReplicasPerOperation = "replicas_per_operation";

    /// <summary>Capacity: targets that an operation found, on average.</summary>
    public const string TargetsPerOperation = "targets_per_operation";

    /// <summary>Capacity: servers that are overloaded when the algorithm runs.</summary>
    public const string OverloadedServers = "overloaded_servers";

    /// <summary>Capacity: share of the servers that may receive machines that is failed. Above the share of all servers, because who refuses machines stays underloaded.</summary>
    public const string FailedShareOfCandidates = "failed_share_of_candidates";

    /// <summary>Capacity: operations that were counted.</summary>
    public const string Operations = "operations";

    /// <summary>Capacity, upgrade: replicas that a cost limit ended, per operation. Only where a limit is set.</summary>
    public const string CostAbortsPerOperation = "cost_aborts_per_operation";

    /// <summary>CI: mean time from the request of a launch until its machine is up.</summary>
    public const string LaunchDelaySeconds = "launch_delay_s";

    /// <summary>CI: share of the naive manager's delay that is saved, as a fraction and not in percent.</summary>
    public const string LaunchDelayGain = "launch_delay_gain";

    /// <summary>CI, upgrade: replicas that were started per machine.</summary>
    public const string AttemptsPerVm = "attempts_per_vm";

    /// <summary>CI, upgrade: the same over the naive manager's.</summary>
    public const string RelativeAttempts = "relative_attempts";

    /// <summary>CI, upgrade: the same less 1: what speculation costs.</summary>
    public const string AdditionalAttempts = "additional_attempts";

    /// <summary>CI: what speculation costs over what it saves: <see cref="AdditionalAttempts"/> by <see cref="LaunchDelayGain"/>.</summary>
    public const string CostBenefit = "cost_benefit";

    /// <summary>Upgrade: time until the last server is upgraded.</summary>
    public const string UpgradeHours = "upgrade_hours";

    /// <summary>Upgrade: share of the naive manager's time that is saved, as a fraction and not in percent.</summary>
    public const string UpgradeTimeGain = "upgrade_time_gain";
}
