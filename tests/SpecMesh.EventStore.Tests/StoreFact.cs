using Xunit.Abstractions;
using Xunit.Sdk;

namespace SpecMesh.EventStore.Tests;

/// <summary>A test that needs the server named by <see cref="NeedsPostgresAttribute"/> on its class; without that server it is skipped by name, with the reason.</summary>
[AttributeUsage(AttributeTargets.Method)]
[XunitTestCaseDiscoverer("SpecMesh.EventStore.Tests.StoreFactDiscoverer", "SpecMesh.EventStore.Tests")]
public sealed class StoreFactAttribute : FactAttribute;

/// <summary>The tests of this class, inherited ones included, run on a PostgreSQL server.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class NeedsPostgresAttribute : Attribute;

/// <summary>xunit 2 decides at discovery what is skipped, and only the test case knows which class inherited the method.</summary>
public sealed class StoreFactDiscoverer(IMessageSink diagnostics) : IXunitTestCaseDiscoverer
{
    public IEnumerable<IXunitTestCase> Discover(ITestFrameworkDiscoveryOptions discoveryOptions, ITestMethod testMethod, IAttributeInfo factAttribute)
    {
        yield return new StoreTestCase(diagnostics, discoveryOptions.MethodDisplayOrDefault(), discoveryOptions.MethodDisplayOptionsOrDefault(), testMethod);
    }
}

public sealed class StoreTestCase : XunitTestCase
{
    [Obsolete("Called by the de-serializer of xunit")]
    public StoreTestCase()
    {
    }

    public StoreTestCase(IMessageSink diagnostics, TestMethodDisplay display, TestMethodDisplayOptions options, ITestMethod testMethod)
        : base(diagnostics, display, options, testMethod)
    {
    }

    protected override string GetSkipReason(IAttributeInfo factAttribute) =>
        TestMethod.TestClass.Class.GetCustomAttributes(typeof(NeedsPostgresAttribute)).Any()
            ? PostgresServer.WhyNot ?? base.GetSkipReason(factAttribute)
            : base.GetSkipReason(factAttribute);
}
