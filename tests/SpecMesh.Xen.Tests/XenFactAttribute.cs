namespace SpecMesh.Xen.Tests;

/// <summary>Needs the bed that <c>tests/run xen</c> boots: three emulated Xen hosts with agents, and the services. Skipped, with the reason, where there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class XenFactAttribute : FactAttribute
{
    public XenFactAttribute() => Skip = ReasonAgainst;

    /// <summary>Why there is no bed; null when there is one.</summary>
    public static string? ReasonAgainst => Environment.GetEnvironmentVariable("SPECMESH_XENBED_ABSENT") is { Length: > 0 } reason
        ? reason
        : Environment.GetEnvironmentVariable("SPECMESH_XENBED_STATE") is { Length: > 0 } ? null : "There is no bed of Xen hosts; tests/run xen boots one.";
}

/// <inheritdoc cref="XenFactAttribute"/>
[AttributeUsage(AttributeTargets.Method)]
public sealed class XenTheoryAttribute : TheoryAttribute
{
    public XenTheoryAttribute() => Skip = XenFactAttribute.ReasonAgainst;
}
