using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using SpecMesh.Hypervisors.Process.Guest;
using OsProcess = System.Diagnostics.Process;

namespace SpecMesh.Hypervisors.Process;

/// <summary>What a guest process says of itself.</summary>
/// <param name="Pid">Its process id.</param>
/// <param name="MemoryFd">Number of the memory's file in the process.</param>
/// <param name="MemoryAddress">Address of the memory in the process.</param>
/// <param name="ControlFd">Number of the control block's file in the process.</param>
internal readonly record struct ReadyGuest(int Pid, int MemoryFd, ulong MemoryAddress, int ControlFd);

/// <summary>
/// Starts guest processes: this very assembly as a program, under the .NET host that runs the agent. The guest gets no environment of the agent, which may
/// hold credentials, and no open file.
/// </summary>
internal sealed class GuestLauncher
{
    private static readonly CultureInfo Invariant = CultureInfo.InvariantCulture;
    private const string AssemblyName = "SpecMesh.Hypervisors";
    private readonly string folder = Folder();
    private readonly string? dotnet = FindDotnet();

    /// <summary>Starts a guest and returns when it is ready and <paramref name="keep"/> has stored where it is.</summary>
    /// <param name="options">What to build.</param>
    /// <param name="keep">Stores where the guest is.</param>
    /// <param name="cancellationToken">Ends the process.</param>
    /// <exception cref="HypervisorException">The guest refuses or ended; its process is gone.</exception>
    public async Task StartAsync(GuestOptions options, Action<ReadyGuest> keep, CancellationToken cancellationToken)
    {
        using OsProcess process = OsProcess.Start(StartInfo(options)) ?? throw new HypervisorException("The guest's process could not be started.");
        try
        {
            string? line = await process.StandardOutput.ReadLineAsync(cancellationToken);
            string[] words = (line ?? string.Empty).Split(' ');
            if (words is not [GuestProcess.Ready, var memoryFd, var address, var controlFd])
            {
                throw new HypervisorException(await ExplainAsync(process, options, line, cancellationToken));
            }

            keep(new ReadyGuest(process.Id, int.Parse(memoryFd, Invariant), ulong.Parse(address, Invariant), int.Parse(controlFd, Invariant)));
            await process.StandardInput.WriteAsync(GuestProcess.Keep.AsMemory(), cancellationToken);
            await process.StandardInput.FlushAsync(cancellationToken);
        }
        catch
        {
            process.Kill();
            await process.WaitForExitAsync(CancellationToken.None);
            throw;
        }
    }

    private static async Task<string> ExplainAsync(OsProcess process, GuestOptions options, string? line, CancellationToken cancellationToken)
    {
        string errors = await process.StandardError.ReadToEndAsync(cancellationToken);
        await process.WaitForExitAsync(cancellationToken);
        return line?.StartsWith(GuestProcess.Refused, StringComparison.Ordinal) == true
            ? $"Guest {options.Name} could not be built: {line[(GuestProcess.Refused.Length + 1)..]}."
            : $"Guest {options.Name} could not be built: its process ended with status {process.ExitCode}, saying: {line} {errors}".TrimEnd();
    }

    private static string Folder()
    {
        string location = typeof(GuestLauncher).Assembly.Location;
        return location.Length > 0 ? Path.GetDirectoryName(location)! : AppContext.BaseDirectory;
    }

    /// <summary>The host that runs this process, else the one that its runtime belongs to.</summary>
    private static string? FindDotnet()
    {
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
        {
            return Environment.ProcessPath;
        }

        string beside = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", "dotnet"));
        return File.Exists(beside) ? beside : null;
    }

    private ProcessStartInfo StartInfo(GuestOptions options)
    {
        ProcessStartInfo info = new(dotnet ?? Path.Combine(folder, AssemblyName))
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = "/",
        };
        if (dotnet is not null)
        {
            info.ArgumentList.Add(Path.Combine(folder, AssemblyName + ".dll"));
        }

        foreach (string argument in options.ToArguments())
        {
            info.ArgumentList.Add(argument);
        }

        string? libraries = Environment.GetEnvironmentVariable("LD_LIBRARY_PATH");
        info.Environment.Clear();
        if (libraries is not null)
        {
            info.Environment["LD_LIBRARY_PATH"] = libraries;
        }

        // Guests outlive their agent on purpose. Whoever runs agents as a topology ends what is left of it by this mark.
        if (Environment.GetEnvironmentVariable("SPECMESH_RUN") is { } run)
        {
            info.Environment["SPECMESH_RUN"] = run;
        }

        // A guest is ended by SIGKILL, after which nobody removes the sockets and pipes that the runtime makes for debuggers.
        info.Environment["DOTNET_EnableDiagnostics"] = "0";

        // Without a second mapping of its code the runtime starts faster; the guest runs no code but this assembly's.
        info.Environment["DOTNET_EnableWriteXorExecute"] = "0";
        return info;
    }
}
