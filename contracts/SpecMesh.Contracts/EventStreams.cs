namespace SpecMesh.Contracts;

/// <summary>Names of the event streams, so that the service that writes one and those that read it mean the same.</summary>
public static class EventStreams
{
    /// <summary>Aggregate alias of an operation's event stream.</summary>
    public const string OperationType = "spec_op";

    /// <summary>Aggregate alias of a machine's event stream.</summary>
    public const string VmType = "vm";

    /// <summary>Aggregate alias of a host's event stream.</summary>
    public const string HostType = "host";

    /// <summary>Aggregate alias of a host's health.</summary>
    public const string HealthType = "health";

    /// <summary>Aggregate alias of the cluster's speculation.</summary>
    public const string SpeculationType = "speculation";

    /// <summary>The event stream of the cluster's speculation; written by placement.</summary>
    public const string Speculation = "speculation-cluster";

    /// <summary>What begins the name of every operation's event stream.</summary>
    public const string OperationPrefix = "specop-";

    /// <summary>What begins the name of every machine's event stream.</summary>
    public const string VmPrefix = "vm-";

    /// <summary>What begins the name of every host's event stream.</summary>
    public const string HostPrefix = "host-";

    /// <summary>What begins the name of every host's health.</summary>
    public const string HealthPrefix = "health-";

    /// <summary><c>specop-{id}</c>, the id as 32 hexadecimal digits; written by replication-policy.</summary>
    public static string OfOperation(Guid operationId) => $"{OperationPrefix}{operationId:N}";

    /// <summary><c>vm-{id}</c>; written by replication-policy.</summary>
    public static string OfVm(string vmId) => VmPrefix + vmId;

    /// <summary><c>host-{id}</c>; written by placement.</summary>
    public static string OfHost(string hostId) => HostPrefix + hostId;

    /// <summary><c>health-{id}</c>; written by failure-monitor.</summary>
    public static string OfHealth(string hostId) => HealthPrefix + hostId;
}
