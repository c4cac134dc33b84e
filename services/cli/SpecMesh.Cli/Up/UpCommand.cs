using System.CommandLine;
using System.Diagnostics;
using SpecMesh.Cli.Commands;

namespace SpecMesh.Cli.Up;

/// <summary><c>specmesh up</c>: runs the system that <c>tye.yaml</c> describes until it is told to stop.</summary>
public static class UpCommand
{
    private static volatile bool terminalGone;

    /// <summary>The command with its options.</summary>
    public static Command Create()
    {
        Option<string> topology = new("--topology") { Description = "The topology file; default: tye.yaml of the source tree.", HelpName = "FILE" };
        Option<string> state = new("--state")
        {
            Description = "Directory for keys, logs and data; default: SPECMESH_STATE, else .state/up in the source tree.",
            HelpName = "DIR",
        };
        Option<int?> portBase = new("--port-base") { Description = "Take ports from here upwards; default: the topology's ports where they are free.", HelpName = "N" };
        portBase.Require(value => value is null or (> 0 and < 65536), "--port-base needs a port from 1 to 65535.");
        Option<int> readyTimeout = new("--ready-timeout") { Description = "Seconds that one stage of services may take to become ready.", DefaultValueFactory = _ => 120 };
        Option<bool> noBuild = new("--no-build") { Description = "Start what was built before." };
        Option<bool> withoutAgents = new("--without-agents") { Description = "Start the services only: agents run elsewhere, on hosts of their own." };
        Command command = new("up", "Start RabbitMQ, PostgreSQL, every service and the host agents as processes, and stop them on Ctrl-C.")
        {
            topology, state, portBase, readyTimeout, noBuild, withoutAgents,
        };
        command.SetAction((parsed, cancellationToken) => RunAsync(
            parsed.GetValue(topology),
            parsed.GetValue(state) ?? StateDirectory.Default(),
            parsed.GetValue(portBase),
            TimeSpan.FromSeconds(parsed.GetValue(readyTimeout)),
            !parsed.GetValue(noBuild),
            !parsed.GetValue(withoutAgents),
            cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(
        string? topologyFile, string stateDirectory, int? firstPort, TimeSpan readyBound, bool build, bool agents, CancellationToken cancellationToken)
    {
        if (!OperatingSystem.IsLinux())
        {
            throw new CommandException("specmesh up needs Linux: it relies on /proc and on the tracking of guest memory by the Linux kernel.");
        }

        string file = topologyFile ?? Path.Combine(Repository.Root() ?? throw new CommandException("There is no tye.yaml above this program; name one with --topology."), "tye.yaml");
        try
        {
            Topology topology = TopologyReader.Read(file);
            topology = agents ? topology : topology.WithoutAgents();
            using StateDirectory state = StateDirectory.Take(stateDirectory);
            if (build)
            {
                await BuildAsync(topology, cancellationToken);
            }

            StartOptions options = new(topology, state, firstPort, readyBound);
            await using RunningSystem system = await RunningSystem.StartAsync(options, Report, cancellationToken);
            Show(system, state);
            await Task.WhenAny(Task.Delay(Timeout.Infinite, cancellationToken));
            Report("stopping");
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            Report("stopped before everything was up");
            return 1;
        }
        catch (Exception exception) when (exception is TopologyException or StartFailedException)
        {
            throw new CommandException(exception.Message);
        }

        Report("stopped");
        return 0;
    }

    private static async Task BuildAsync(Topology topology, CancellationToken cancellationToken)
    {
        foreach (string project in topology.Services.Select(service => service.Project).OfType<string>().Distinct())
        {
            Report($"building {Path.GetFileNameWithoutExtension(project)}");
            ProcessStartInfo info = new(Repository.Dotnet(), ["build", "-c", "Release", "--nologo", "-v", "quiet", Path.Combine(topology.Directory, project)])
            {
                RedirectStandardOutput = true,
            };
            using Process process = Process.Start(info) ?? throw new StartFailedException("dotnet build could not be started");
            string output = await process.StandardOutput.ReadToEndAsync(cancellationToken);
            await process.WaitForExitAsync(cancellationToken);
            if (process.ExitCode != 0)
            {
                throw new StartFailedException($"{project} does not build:\n{output}");
            }
        }
    }

    private static void Show(RunningSystem system, StateDirectory state)
    {
        Output.Table(
            ["service", "protocol", "address", "from"],
            system.Addresses.Select(address => (IReadOnlyList<string>)[address.Service, address.Protocol, address.Address, address.Origin]));
        Console.WriteLine($"state:   {state.Root}");
        Console.WriteLine($"API key: {state.ApiKeyFile}");
        Report("up; Ctrl-C stops it");
    }

    private static void Report(string line)
    {
        try
        {
            if (!terminalGone)
            {
                Console.WriteLine($"specmesh up: {line}");
            }
        }
        catch (IOException)
        {
            // Nobody can read this line any more, but the children still have to be stopped.
            terminalGone = true;
        }
    }
}
