using System.Text.RegularExpressions;

namespace SpecMesh.Architecture.Tests;

/// <summary>The arrows between projects. A project that is not in the table fails: whoever adds one says here what it may know.</summary>
public sealed partial class ReferenceTests
{
    private static readonly string[] Service = ["SpecMesh.Contracts", "SpecMesh.Speculation", "SpecMesh.EventStore", "SpecMesh.Hosting"];

    private static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["SpecMesh.Contracts"] = [],
        ["SpecMesh.Speculation"] = ["SpecMesh.Contracts"],
        // The store and the wiring know no domain: they take types from their users.
        ["SpecMesh.EventStore"] = [],
        ["SpecMesh.Hosting"] = ["SpecMesh.EventStore"],
        ["SpecMesh.DataPath"] = ["SpecMesh.Contracts", "SpecMesh.Speculation"],
        ["SpecMesh.Hypervisors"] = ["SpecMesh.Contracts", "SpecMesh.Speculation", "SpecMesh.DataPath"],
        ["SpecMesh.Placement"] = Service,
        ["SpecMesh.ReplicationPolicy"] = Service,
        ["SpecMesh.FailureMonitor"] = Service,
        ["SpecMesh.Workloads"] = Service,
        ["SpecMesh.Gateway"] = Service,
        ["SpecMesh.HostAgent"] = [.. Service, "SpecMesh.DataPath", "SpecMesh.Hypervisors"],
        ["SpecMesh.Simulator"] = ["SpecMesh.Contracts", "SpecMesh.Speculation"],
        // The composition root of the embedded mode: the one program that holds every service in one process.
        ["SpecMesh.Cli"] =
        [
            .. Service, "SpecMesh.DataPath", "SpecMesh.Hypervisors", "SpecMesh.Placement", "SpecMesh.ReplicationPolicy", "SpecMesh.FailureMonitor",
            "SpecMesh.Workloads", "SpecMesh.Gateway", "SpecMesh.HostAgent", "SpecMesh.Simulator",
        ],
        // A caller's program: it shows that the contracts suffice to talk on the bus.
        ["SpecMesh.BusClient"] = ["SpecMesh.Contracts"],
    };

    public static TheoryData<string> ProductProjects => [.. Tree.Projects.Where(project => !project.IsTest).Select(project => project.Name)];

    [Theory]
    [MemberData(nameof(ProductProjects))]
    public void a_project_references_only_what_the_table_allows(string name)
    {
        Assert.True(Allowed.TryGetValue(name, out string[]? allowed), $"{name} is not in the table of references: say there what it may reference.");
        ProjectFile project = Tree.Projects.Single(project => project.Name == name);
        Assert.Empty(project.ProjectReferences.Except(allowed));
    }

    [Fact]
    public void no_product_project_references_a_test_project()
    {
        string[] tests = [.. Tree.Projects.Where(project => project.IsTest).Select(project => project.Name)];
        Assert.Empty(Tree.Projects.Where(project => !project.IsTest && project.ProjectReferences.Intersect(tests).Any()).Select(project => project.Name));
    }

    [Fact]
    public void contracts_have_no_package()
    {
        Assert.Empty(Tree.Projects.Single(project => project.Name == "SpecMesh.Contracts").PackageReferences);
    }

    [Fact]
    public void only_the_hosting_project_knows_the_bus_library()
    {
        // A program that shows how to use the bus from outside, and tests of the wiring, name the library too.
        string[] references = [.. Tree.Projects
            .Where(project => !project.IsTest && project.Name is not ("SpecMesh.Hosting" or "SpecMesh.BusClient"))
            .Where(project => project.PackageReferences.Any(package => package.StartsWith("MassTransit", StringComparison.Ordinal)))
            .Select(project => project.Name)];
        Assert.Empty(references);
    }

    [Fact]
    public void unsafe_code_is_allowed_only_where_memory_is_moved()
    {
        string[] allowing = [.. Tree.Projects.Where(project => project.Property("AllowUnsafeBlocks") == "true").Select(project => project.Name)];
        Assert.Empty(allowing.Except(["SpecMesh.DataPath", "SpecMesh.Hypervisors"]));
    }

    [Fact]
    public void the_pure_project_bans_clocks_randomness_tasks_and_files()
    {
        ProjectFile pure = Tree.Projects.Single(project => project.Name == "SpecMesh.Speculation");
        Assert.Contains("Microsoft.CodeAnalysis.BannedApiAnalyzers", pure.PackageReferences);
        Assert.Contains("BannedSymbols.txt", pure.Includes("AdditionalFiles"));
        string banned = File.ReadAllText(Path.Combine(Path.GetDirectoryName(pure.Path)!, "BannedSymbols.txt"));
        foreach (string symbol in (string[])["System.DateTimeOffset.UtcNow", "System.TimeProvider", "System.Guid.NewGuid", "System.Random", "System.Threading.Tasks.Task", "System.IO.File"])
        {
            Assert.Contains(symbol + ";", banned, StringComparison.Ordinal);
        }

        Assert.DoesNotContain("RS0030", pure.Property("NoWarn") ?? "", StringComparison.Ordinal);
    }

    [Fact]
    public void the_pure_project_silences_no_ban()
    {
        string folder = Path.GetDirectoryName(Tree.Projects.Single(project => project.Name == "SpecMesh.Speculation").Path)!;
        Assert.Empty(Tree.Sources.Where(path => path.StartsWith(folder, StringComparison.Ordinal) && File.ReadAllText(path).Contains("RS0030", StringComparison.Ordinal)).Select(Tree.Relative));
    }

    [Fact]
    public void every_project_is_in_the_solution_and_is_built_with_it()
    {
        string solution = Tree.Read("SpecMesh.sln");
        // A merge can keep a project's line and lose its configurations: then it is listed, and silently not built.
        string[] listed = [.. SolutionProject().Matches(solution)
            .Where(match => solution.Contains(match.Groups[2].Value + ".Release|Any CPU.Build.0", StringComparison.Ordinal))
            .Select(match => match.Groups[1].Value.Replace('\\', '/'))];
        Assert.Empty(Tree.Projects.Select(project => Tree.Relative(project.Path)).Except(listed));
    }

    [Fact]
    public void every_test_project_is_in_the_table_of_tests_run()
    {
        string[] listed = [.. TestStage().Matches(Tree.Read("tests/run")).Select(match => match.Groups[1].Value)];
        Assert.Empty(Tree.Projects.Where(project => project.IsTest && project.Name.EndsWith(".Tests", StringComparison.Ordinal)).Select(project => project.Name).Except(listed));
    }

    [GeneratedRegex("\"([^\"]+\\.csproj)\", \"([^\"]+)\"")]
    private static partial Regex SolutionProject();

    [GeneratedRegex(@"^\s+[a-z]+\s+(SpecMesh\.\S+)\s+\S+\s*$", RegexOptions.Multiline)]
    private static partial Regex TestStage();
}
