namespace SpecMesh.Contracts;

/// <summary>Where the commands for one host go.</summary>
public static class HostQueue
{
    /// <summary>Queue of a host's agent: <c>host-agent-{hostId}</c>.</summary>
    public static string Of(string hostId) => $"host-agent-{hostId}";
}
