using System.Globalization;
using System.Net;
using SpecMesh.Hypervisors.Process;
using SpecMesh.Speculation.PreCopy;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.HostAgent;

/// <summary>A driver, as the configuration names it.</summary>
public enum HypervisorChoice
{
    /// <summary>Guests are processes.</summary>
    Process,

    /// <summary>Guests are PVH domains of the Xen host whose control domain the agent runs in.</summary>
    Xen,
}

/// <summary>What one host's agent needs to know, from the configuration section <c>SpecMesh</c>.</summary>
public sealed record HostAgentOptions
{
    /// <summary>The host: 1 to 63 of <c>a-z 0-9 -</c>.</summary>
    public required string HostId { get; init; }

    /// <summary>What the host shares its faults with; its own name when nothing is said.</summary>
    public required string FailureDomain { get; init; }

    /// <summary>Memory for guests, in bytes.</summary>
    public required long MemoryBytes { get; init; }

    /// <summary>Where migration streams come in; port 0 takes a free one.</summary>
    public IPEndPoint DataEndpoint { get; init; } = new(IPAddress.Loopback, 0);

    /// <summary>What sources are told to connect to, where it is not the address that this agent listens on: behind a port mapping. Null: the latter.</summary>
    public IPEndPoint? AdvertisedDataEndpoint { get; init; }

    /// <summary>Directory of the journal and of the hypervisor's state.</summary>
    public required string StateDirectory { get; init; }

    /// <summary>Secret that the agents of the cluster share, at least 16 characters.</summary>
    public required string ClusterKey { get; init; }

    /// <summary>Where replication-policy answers ownership calls; null where the agent runs in its process.</summary>
    public Uri? ReplicationPolicyUrl { get; init; }

    /// <summary>True: commands may break things, for demonstrations and tests.</summary>
    public bool AllowFaultInjection { get; init; }

    /// <summary>Dirty tracker to use; one that is named and fails its self-test is not replaced by another.</summary>
    public DirtyTrackerChoice DirtyTracker { get; init; } = DirtyTrackerChoice.Auto;

    /// <summary>What runs the guests of this host.</summary>
    public HypervisorChoice Hypervisor { get; init; } = HypervisorChoice.Process;

    /// <summary>Directory with one xl configuration per machine, <c>{machine}.cfg</c>; null unless <see cref="Hypervisor"/> is Xen.</summary>
    public string? XenConfigurations { get; init; }

    /// <summary>How often the agent says that it lives.</summary>
    public TimeSpan HeartbeatInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How often replicas are judged and unanswered calls repeated.</summary>
    public TimeSpan TickInterval { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>How often the progress of a round is published.</summary>
    public TimeSpan ProgressInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Limits of the source's side.</summary>
    public SourceLimits Limits { get; init; } = SourceLimits.Default;

    /// <summary>Reads and checks the configuration; all errors are reported at once.</summary>
    /// <exception cref="InvalidOperationException">Something is missing or wrong; the message names every setting.</exception>
    public static HostAgentOptions Read(IConfiguration configuration)
    {
        IConfigurationSection section = configuration.GetSection("SpecMesh");
        List<string> errors = [];
        string hostId = section["HostId"] ?? "";
        Check(errors, SpecOpRules.IsName(hostId), "SpecMesh:HostId must be 1 to 63 of a-z, 0-9 and '-'.");
        string key = section["ClusterKey"] ?? "";
        Check(errors, key.Length >= 16, "SpecMesh:ClusterKey must be set, with at least 16 characters.");
        string state = section["StateDirectory"] ?? "";
        Check(errors, state.Length > 0, "SpecMesh:StateDirectory must name a directory that only this agent uses.");
        bool memoryIsNumber = long.TryParse(section["MemoryBytes"], NumberStyles.None, CultureInfo.InvariantCulture, out long memory);
        Check(errors, memoryIsNumber && memory > 0, "SpecMesh:MemoryBytes must be the memory for guests, in bytes.");
        IPEndPoint? endpoint = new(IPAddress.Loopback, 0);
        Check(errors, section["DataEndpoint"] is not { } text || IPEndPoint.TryParse(text, out endpoint), "SpecMesh:DataEndpoint must be address:port.");
        IPEndPoint? advertised = null;
        Check(errors, section["AdvertisedDataEndpoint"] is not { } mapped || IPEndPoint.TryParse(mapped, out advertised), "SpecMesh:AdvertisedDataEndpoint must be address:port.");
        Uri? policy = null;
        Check(errors, Uri.TryCreate(section["ReplicationPolicyUrl"], UriKind.Absolute, out policy), "SpecMesh:ReplicationPolicyUrl must be the address of replication-policy.");
        bool allow = false;
        Check(errors, section["AllowFaultInjection"] is not { } flag || bool.TryParse(flag, out allow), "SpecMesh:AllowFaultInjection must be true or false.");
        DirtyTrackerChoice tracker = DirtyTrackerChoice.Auto;
        Check(errors, section["DirtyTracker"] is not { } name || Enum.TryParse(name, ignoreCase: true, out tracker), "SpecMesh:DirtyTracker must be Auto, PagemapScan, Userfaultfd or SoftDirty.");
        HypervisorChoice hypervisor = HypervisorChoice.Process;
        Check(errors, section["Hypervisor"] is not { } driver || (Enum.TryParse(driver, ignoreCase: true, out hypervisor) && Enum.IsDefined(hypervisor)), "SpecMesh:Hypervisor must be process or xen.");
        bool isXen = hypervisor == HypervisorChoice.Xen;
        string? machines = section["XenConfigurations"];
        Check(errors, !isXen || Directory.Exists(machines), "SpecMesh:XenConfigurations must be a directory that exists: it holds an xl configuration for each machine.");
        Check(errors, isXen || machines is null, "SpecMesh:XenConfigurations is for SpecMesh:Hypervisor=xen only.");
        Check(errors, !isXen || section["DirtyTracker"] is null, "SpecMesh:DirtyTracker is not for Xen: the hypervisor itself tracks what its domains write.");
        StopRule stop = StopRule.Default with { PauseBudget = Duration(section, "PauseBudget", StopRule.Default.PauseBudget, errors) };
        SourceLimits limits = new(stop, Duration(section, "VoteLimit", SourceLimits.Default.VoteLimit, errors), Duration(section, "PauseLimit", SourceLimits.Default.PauseLimit, errors));
        if (errors.Count > 0)
        {
            throw new InvalidOperationException("The host agent cannot start:\n" + string.Join('\n', errors));
        }

        return new HostAgentOptions
        {
            HostId = hostId,
            FailureDomain = section["FailureDomain"] ?? hostId,
            MemoryBytes = memory,
            DataEndpoint = endpoint!,
            AdvertisedDataEndpoint = advertised,
            StateDirectory = state,
            ClusterKey = key,
            ReplicationPolicyUrl = policy,
            AllowFaultInjection = allow,
            DirtyTracker = tracker,
            Hypervisor = hypervisor,
            XenConfigurations = machines,
            Limits = limits,
        };
    }

    /// <summary>A duration as <c>00:00:05</c>, from a millisecond to an hour.</summary>
    private static TimeSpan Duration(IConfigurationSection section, string name, TimeSpan otherwise, List<string> errors)
    {
        TimeSpan duration = otherwise;
        Check(
            errors,
            section[name] is not { } text
                || (TimeSpan.TryParseExact(text, "c", CultureInfo.InvariantCulture, out duration) && duration >= TimeSpan.FromMilliseconds(1) && duration <= TimeSpan.FromHours(1)),
            $"SpecMesh:{name} must be a duration from 00:00:00.001 to 01:00:00.");
        return duration;
    }

    private static void Check(List<string> errors, bool holds, string error)
    {
        if (!holds)
        {
            errors.Add(error);
        }
    }
}
