using System.CommandLine;
using SpecMesh.Cli.Commands;
using SpecMesh.Cli.Up;

namespace SpecMesh.Cli.Demo;

/// <summary><c>specmesh demo</c>: races a running, memory-writing guest to several hosts, some of them failing, and shows that it wins on exactly one.</summary>
public static class DemoCommand
{
    /// <summary>The command with its options.</summary>
    public static Command Create()
    {
        Option<ulong?> seed = new("--seed") { Description = "Repeats a demonstration: the same source, the same broken targets.", HelpName = "N" };
        Option<long?> memory = new("--memory") { Description = "Memory of the guest; default 512MiB.", HelpName = "SIZE", CustomParser = Quantities.Bytes };
        Option<int> sq = new("--sq") { Description = "Number of replicas.", HelpName = "N", DefaultValueFactory = _ => 3 };
        Option<double> writeRate = new("--write-rate") { Description = "4 KiB pages that the guest rewrites per second.", HelpName = "PAGES", DefaultValueFactory = _ => 2000 };
        Option<int?> failed = new("--failed-targets") { Description = "Targets that break the transfer in its middle; default 1 when there are two or more replicas.", HelpName = "N" };
        Option<int?> slow = new("--slow-targets") { Description = "Targets that receive slowly; default 1 when there are three or more replicas.", HelpName = "N" };
        Option<long?> slowRate = new("--slow-rate") { Description = "Bytes per second of a slow target; default: a 64th of the memory.", HelpName = "SIZE", CustomParser = Quantities.Bytes };
        CostArguments cost = new();
        Option<bool> real = new("--real") { Description = "On RabbitMQ, PostgreSQL and separate processes: the system that infra/up runs, or one started for the purpose." };
        Option<string?> state = new("--state") { Description = "State directory of the running system, for --real.", HelpName = "DIR" };
        Option<bool> json = new("--json") { Description = "Print one JSON object and nothing else." };
        Option<bool> verbose = new("--verbose") { Description = "Print the services' logs on standard error." };
        sq.Require(value => value is >= 1 and <= 16, "--sq is 1 to 16.");
        memory.Require(value => value is null or (>= 1 << 20 and <= 1L << 40) && value.GetValueOrDefault() % 4096 == 0, "--memory is a multiple of 4096 bytes, from 1MiB.");
        writeRate.Require(value => value is >= 0 and <= 1e9, "--write-rate is 0 to 1e9.");
        failed.Require(value => value is null or >= 0, "--failed-targets is 0 or more.");
        slow.Require(value => value is null or >= 0, "--slow-targets is 0 or more.");
        Command command = new("demo", "Race a running guest to several hosts, one of them failing and one slow, and let exactly one win.")
        {
            seed, memory, sq, writeRate, failed, slow, slowRate, real, state, json, verbose,
        };
        cost.AddTo(command);
        command.SetAction((parsed, cancellationToken) =>
        {
            int replicas = parsed.GetValue(sq);
            DemoOptions options = new(
                parsed.GetValue(seed) ?? (ulong)Environment.TickCount64,
                parsed.GetValue(memory) ?? 512L << 20,
                replicas,
                parsed.GetValue(writeRate),
                parsed.GetValue(failed) ?? (replicas >= 2 ? 1 : 0),
                parsed.GetValue(slow) ?? (replicas >= 3 ? 1 : 0),
                parsed.GetValue(slowRate),
                cost.Read(parsed),
                parsed.GetValue(json),
                parsed.GetValue(verbose));
            return RunAsync(options, parsed.GetValue(real), parsed.GetValue(state) ?? StateDirectory.Default(), cancellationToken);
        });
        return command;
    }

    private static async Task<int> RunAsync(DemoOptions options, bool real, string stateDirectory, CancellationToken cancellationToken)
    {
        if (!OperatingSystem.IsLinux())
        {
            throw new CommandException("specmesh demo needs Linux: the kernel tracks which pages of its guest are written.");
        }

        await using DemoSystem system = real
            ? await RealSystem.OpenAsync(options, stateDirectory, cancellationToken)
            : await EmbeddedSystem.StartAsync(options, cancellationToken);
        DemoScreen screen = new(options);
        DemoResult result = await new DemoRun(system, options, screen).RunAsync(cancellationToken);
        screen.ShowResult(result);
        return result.IsGood ? 0 : 1;
    }
}
