using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace SpecMesh.Integration.Tests;

/// <summary>What a program printed and how it ended.</summary>
public sealed record Ended(int Status, string Output, string Errors)
{
    /// <summary>For a failed assertion's message.</summary>
    public override string ToString() => $"exit status {Status}\n{Output}\n{Errors}";
}

/// <summary>Runs the built programs as a user does: as processes.</summary>
public static class Programs
{
    private static readonly TimeSpan Bound = TimeSpan.FromMinutes(8);

    /// <summary>The configuration that the tests were built in: the programs beside them are of the same.</summary>
    private static readonly string Configuration = new DirectoryInfo(AppContext.BaseDirectory).Name;

    /// <summary>Root of the source tree.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>Path of a built program.</summary>
    public static string PathOf(string project, string assembly) => Path.Combine(Root, "artifacts", "bin", project, Configuration, assembly + ".dll");

    /// <summary>Runs the command line <c>specmesh</c>.</summary>
    public static Task<Ended> SpecMeshAsync(params string[] arguments) => RunAsync([PathOf("SpecMesh.Cli", "specmesh"), .. arguments]);

    /// <summary>Runs <c>dotnet</c> with these arguments to its end.</summary>
    public static async Task<Ended> RunAsync(IEnumerable<string> arguments)
    {
        using Process process = Start(arguments);
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        using CancellationTokenSource bound = new(Bound);
        try
        {
            await process.WaitForExitAsync(bound.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{string.Join(' ', arguments)} did not end: {await output}\n{await errors}");
        }

        return new Ended(process.ExitCode, await output, await errors);
    }

    /// <summary>Starts <c>dotnet</c> with these arguments.</summary>
    public static Process Start(IEnumerable<string> arguments)
    {
        ProcessStartInfo start = new("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        return Process.Start(start) ?? throw new InvalidOperationException("dotnet could not be started.");
    }

    private static string FindRoot([CallerFilePath] string here = "")
    {
        for (DirectoryInfo? directory = new(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            if (File.Exists(Path.Combine(directory.FullName, "tye.yaml")))
            {
                return directory.FullName;
            }
        }

        throw new InvalidOperationException($"There is no source tree around {here}.");
    }
}
