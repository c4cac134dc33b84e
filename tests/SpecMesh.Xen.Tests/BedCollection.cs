namespace SpecMesh.Xen.Tests;

/// <summary>Scenarios share one bed, one after the other.</summary>
[CollectionDefinition(Name)]
public sealed class BedCollection : ICollectionFixture<XenBed>
{
    public const string Name = "bed of Xen hosts";
}
