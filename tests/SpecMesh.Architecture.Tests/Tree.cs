using System.Xml.Linq;

namespace SpecMesh.Architecture.Tests;

/// <summary>One project file, as its XML says.</summary>
/// <param name="Name">Name of the project.</param>
/// <param name="Path">Absolute path of the file.</param>
/// <param name="Xml">Its content.</param>
public sealed record ProjectFile(string Name, string Path, XDocument Xml)
{
    /// <summary>True for a project below <c>tests/</c>.</summary>
    public bool IsTest => Tree.Relative(Path).StartsWith("tests/", StringComparison.Ordinal);

    /// <summary>Names of the projects that it references.</summary>
    public IReadOnlyList<string> ProjectReferences => [.. Includes("ProjectReference").Select(path => System.IO.Path.GetFileNameWithoutExtension(path.Replace('\\', '/')))];

    /// <summary>Names of the packages that it references.</summary>
    public IReadOnlyList<string> PackageReferences => [.. Includes("PackageReference")];

    /// <summary>Value of a property; null when it is not set.</summary>
    public string? Property(string name) => Xml.Descendants(name).LastOrDefault()?.Value.Trim();

    /// <summary>What items of a kind include.</summary>
    public IEnumerable<string> Includes(string item) => Xml.Descendants(item).Select(element => element.Attribute("Include")?.Value).OfType<string>();
}

/// <summary>The source tree that these tests were built in.</summary>
public static class Tree
{
    private static readonly string[] Skipped = ["artifacts", "bin", "obj", ".git", ".state", "node_modules"];

    /// <summary>Absolute path of the tree.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>Every project of the tree.</summary>
    public static IReadOnlyList<ProjectFile> Projects { get; } =
        [.. Files("*.csproj").Select(path => new ProjectFile(Path.GetFileNameWithoutExtension(path), path, XDocument.Load(path)))];

    /// <summary>Every C# source file of the tree.</summary>
    public static IReadOnlyList<string> Sources { get; } = [.. Files("*.cs")];

    /// <summary>Paths of the files that match a pattern, build output left out.</summary>
    public static IEnumerable<string> Files(string pattern) => Directories(Root).SelectMany(directory => Directory.EnumerateFiles(directory, pattern)).Order(StringComparer.Ordinal);

    /// <summary>Every directory of the tree, build output left out.</summary>
    public static IEnumerable<string> Directories(string below) =>
        Directory.EnumerateDirectories(below).Where(directory => !Skipped.Contains(Path.GetFileName(directory))).SelectMany(Directories).Prepend(below);

    /// <summary>Path relative to the tree.</summary>
    public static string Relative(string path) => Path.GetRelativePath(Root, path);

    /// <summary>Text of a file of the tree.</summary>
    public static string Read(string relativePath) => File.ReadAllText(Path.Combine(Root, relativePath));

    private static string FindRoot()
    {
        for (DirectoryInfo? directory = new(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            if (File.Exists(Path.Combine(directory.FullName, "SpecMesh.sln")))
            {
                return directory.FullName;
            }
        }

        throw new InvalidOperationException($"There is no SpecMesh.sln above {AppContext.BaseDirectory}.");
    }
}
