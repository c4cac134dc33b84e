namespace SpecMesh.Cli.Up;

/// <summary>The source tree that this program was built in.</summary>
public static class Repository
{
    /// <summary>The nearest directory above the program that holds <c>tye.yaml</c>; null when it was moved out of its tree.</summary>
    public static string? Root()
    {
        for (DirectoryInfo? directory = new(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            if (File.Exists(Path.Combine(directory.FullName, "tye.yaml")))
            {
                return directory.FullName;
            }
        }

        return null;
    }

    /// <summary>Where the build puts a project's program.</summary>
    /// <param name="root">The tree's root.</param>
    /// <param name="project">Path of the project file.</param>
    public static string ProgramOf(string root, string project)
    {
        string name = Path.GetFileNameWithoutExtension(project);
        return Path.Combine(root, "artifacts", "bin", name, "release", name + ".dll");
    }

    /// <summary>The <c>dotnet</c> program that runs this process, or the one on the search path.</summary>
    public static string Dotnet() => Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") is { Length: > 0 } host
        ? host
        : Path.GetFileName(Environment.ProcessPath) == "dotnet" ? Environment.ProcessPath! : "dotnet";
}
