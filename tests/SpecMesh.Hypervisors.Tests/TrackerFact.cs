using System.Collections.Concurrent;
using SpecMesh.Hypervisors.Process;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace SpecMesh.Hypervisors.Tests;

/// <summary>On a test class: its tests need this dirty tracker.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class NeedsTrackerAttribute(DirtyTrackerChoice tracker) : Attribute
{
    public DirtyTrackerChoice Tracker { get; } = tracker;
}

/// <summary>On a test class: its tests need to run in the control domain of a Xen host that is there for them, as <c>tests/xenbed/compliance</c> has it.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class NeedsXenAttribute : Attribute;

/// <summary>A test that is skipped by name, with the reason of the self-test, where the kernel does not do what its class needs.</summary>
[AttributeUsage(AttributeTargets.Method)]
[XunitTestCaseDiscoverer("SpecMesh.Hypervisors.Tests.TrackerFactDiscoverer", "SpecMesh.Hypervisors.Tests")]
public sealed class TrackerFactAttribute : FactAttribute;

public sealed class TrackerFactDiscoverer(IMessageSink diagnostics) : IXunitTestCaseDiscoverer
{
    public IEnumerable<IXunitTestCase> Discover(ITestFrameworkDiscoveryOptions discoveryOptions, ITestMethod testMethod, IAttributeInfo factAttribute) =>
        [new TrackerTestCase(diagnostics, discoveryOptions.MethodDisplayOrDefault(), discoveryOptions.MethodDisplayOptionsOrDefault(), testMethod)];
}

public sealed class TrackerTestCase : XunitTestCase
{
    private static readonly ConcurrentDictionary<DirtyTrackerChoice, string?> Reasons = new();

    [Obsolete("For deserialization only.")]
    public TrackerTestCase()
    {
    }

    public TrackerTestCase(IMessageSink diagnostics, TestMethodDisplay display, TestMethodDisplayOptions options, ITestMethod method)
        : base(diagnostics, display, options, method)
    {
    }

    protected override string? GetSkipReason(IAttributeInfo factAttribute)
    {
        if (TestMethod.TestClass.Class.GetCustomAttributes(typeof(NeedsXenAttribute)).Any())
        {
            return Xen.XenBedHost.ReasonAgainst;
        }

        IAttributeInfo? needs = TestMethod.TestClass.Class.GetCustomAttributes(typeof(NeedsTrackerAttribute)).SingleOrDefault();
        return needs is null
            ? base.GetSkipReason(factAttribute)
            : Reasons.GetOrAdd(needs.GetNamedArgument<DirtyTrackerChoice>(nameof(NeedsTrackerAttribute.Tracker)), ReasonAgainst);
    }

    private static string? ReasonAgainst(DirtyTrackerChoice tracker)
    {
        string folder = Directory.CreateTempSubdirectory("specmesh-").FullName;
        try
        {
            HypervisorCapabilities found = Task.Run(() => new ProcessHypervisor(new ProcessHypervisorOptions(folder, tracker)).ProbeAsync(CancellationToken.None)).Result;
            return found.Trackers.Single().Reason is { } reason ? $"{found.Trackers.Single().Name}: {reason}" : null;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
