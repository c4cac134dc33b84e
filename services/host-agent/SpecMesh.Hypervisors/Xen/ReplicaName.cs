using System.Text.RegularExpressions;

namespace SpecMesh.Hypervisors.Xen;

/// <summary>
/// Names of domains that are replicas and not, or not yet, the machine: <c>{machine}.{operation}.{replica}</c>, and with <c>--incoming</c> behind it until the domain may run, which is
/// what a stock receiver appends. They tell replicas of one machine on one host apart, and no machine is called so, because a machine's id has no dot.
/// </summary>
internal static partial class ReplicaName
{
    private const string Suffix = "--incoming";

    /// <summary>Name that a stock receiver gives the domain before it runs it.</summary>
    /// <exception cref="ArgumentException">The tag names no replica.</exception>
    public static string Of(GuestTag tag) => tag is { OperationId: { } operation, Replica: { } replica }
        ? $"{tag.VmId}.{operation.ToString("N")[..8]}.{replica}"
        : throw new ArgumentException($"{tag} names no replica.", nameof(tag));

    /// <summary>Name of the domain while it waits.</summary>
    /// <exception cref="ArgumentException">The tag names no replica.</exception>
    public static string Incoming(GuestTag tag) => Of(tag) + Suffix;

    /// <summary>True for the name of any replica of any machine.</summary>
    public static bool IsOne(string? name) => name is not null && Pattern().IsMatch(name);

    /// <summary>True for a name that a domain of this machine may have.</summary>
    public static bool IsOf(string name, string vmId) => name == vmId || (IsOne(name) && name.StartsWith(vmId + ".", StringComparison.Ordinal));

    [GeneratedRegex(@"\A[a-z0-9][a-z0-9-]{0,62}\.[0-9a-f]{8}\.[0-9]{1,9}(--incoming)?\z", RegexOptions.CultureInvariant)]
    private static partial Regex Pattern();
}
