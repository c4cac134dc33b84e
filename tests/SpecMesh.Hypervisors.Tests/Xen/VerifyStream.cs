using System.Diagnostics;

namespace SpecMesh.Hypervisors.Tests.Xen;

/// <summary>A test that needs Xen's own <c>verify-stream-v2</c>. Skipped by name, with the reason, where it cannot be had.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class VerifyStreamTheoryAttribute : TheoryAttribute
{
    public VerifyStreamTheoryAttribute() => Skip = VerifyStream.ReasonAgainst;
}

/// <summary>Xen's checker of migration streams, from the Debian package that <c>tests/xenbed/packages</c> fetches; nothing is installed.</summary>
internal static class VerifyStream
{
    private static readonly Lazy<(string? Root, string? Reason)> Tools = new(Find);

    public static string? ReasonAgainst => Tools.Value.Reason;

    /// <summary>What the checker says about a migration stream, and whether it accepts it.</summary>
    public static async Task<(bool Accepted, string Said)> RunAsync(byte[] stream)
    {
        string file = Path.GetTempFileName();
        try
        {
            await File.WriteAllBytesAsync(file, stream);
            string home = Directory.GetDirectories(Path.Combine(Tools.Value.Root!, "usr/lib"), "xen-*").Single(folder => File.Exists(Path.Combine(folder, "bin/verify-stream-v2")));
            ProcessStartInfo start = Start("python3", [Path.Combine(home, "bin/verify-stream-v2"), "-v", "-f", "xl", "-i", file]);
            start.Environment["PYTHONPATH"] = Path.Combine(home, "lib/python");
            (int status, string said) = await EndOf(start);
            return (status == 0, said);
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static (string? Root, string? Reason) Find()
    {
        try
        {
            (int status, string said) = EndOf(Start(Path.Combine(Repository(), "tests/xenbed/packages"), ["xen-utils-4.17"])).GetAwaiter().GetResult();
            string last = said.TrimEnd().Split('\n')[^1];
            return status == 0 ? (last, null) : (null, $"verify-stream-v2: {last}");
        }
        catch (System.ComponentModel.Win32Exception missing)
        {
            return (null, $"verify-stream-v2: {missing.Message}");
        }
    }

    private static string Repository()
    {
        DirectoryInfo? at = new(AppContext.BaseDirectory);
        while (at is not null && !File.Exists(Path.Combine(at.FullName, "SpecMesh.sln")))
        {
            at = at.Parent;
        }

        return at?.FullName ?? throw new InvalidOperationException($"There is no SpecMesh.sln above {AppContext.BaseDirectory}.");
    }

    private static ProcessStartInfo Start(string program, IEnumerable<string> arguments) =>
        new(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };

    private static async Task<(int Status, string Said)> EndOf(ProcessStartInfo start)
    {
        using System.Diagnostics.Process process = System.Diagnostics.Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        string errors = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, await output + errors);
    }
}
