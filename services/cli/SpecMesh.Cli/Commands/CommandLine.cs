using System.CommandLine;
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace SpecMesh.Cli.Commands;

/// <summary>A command cannot do what it was asked; the message is for the operator.</summary>
public class CommandException(string message) : Exception(message);

/// <summary>Runs the command line. Exit status 0: done. 1: not done. 2: the command line itself is wrong.</summary>
public static class CommandLine
{
    /// <summary>Status of a command line that cannot be understood.</summary>
    public const int UsageStatus = 2;

    private static readonly TimeSpan EchoBound = TimeSpan.FromSeconds(2);

    /// <summary>Parses and runs.</summary>
    public static async Task<int> RunAsync(RootCommand root, IReadOnlyList<string> args)
    {
        ParseResult parsed = root.Parse(args);
        if (parsed.Errors.Count > 0)
        {
            foreach (string message in parsed.Errors.Select(error => error.Message).Distinct())
            {
                await Console.Error.WriteLineAsync($"specmesh: {message}");
            }

            await Console.Error.WriteLineAsync($"Help: specmesh {NamesOf(parsed.CommandResult.Command, root)}--help");
            return UsageStatus;
        }

        using CancellationTokenSource stop = new();
        long firstSignal = 0;
        void Stop(PosixSignalContext context)
        {
            // The first signal stops in good order. A later one has its usual effect, unless it is the first one's echo: programs that run this one
            // often pass a signal on that the terminal has already sent to all of them.
            long now = Stopwatch.GetTimestamp();
            long first = Interlocked.CompareExchange(ref firstSignal, now, 0);
            context.Cancel = first == 0 || Stopwatch.GetElapsedTime(first, now) < EchoBound;
            stop.Cancel();
        }

        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using PosixSignalRegistration hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, Stop);
        try
        {
            // Stopping takes as long as the children need; the library's own handling would end the process after two seconds.
            InvocationConfiguration configuration = new() { ProcessTerminationTimeout = null, EnableDefaultExceptionHandler = false };
            return await parsed.InvokeAsync(configuration, stop.Token);
        }
        catch (CommandException exception)
        {
            await Console.Error.WriteLineAsync($"specmesh: {exception.Message}");
            return 1;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return 1;
        }
    }

    private static string NamesOf(Command command, RootCommand root)
    {
        List<string> names = [];
        for (Symbol? symbol = command; symbol is Command && symbol != root; symbol = symbol.Parents.FirstOrDefault())
        {
            names.Insert(0, symbol.Name);
        }

        return names.Count == 0 ? "" : string.Join(' ', names) + " ";
    }
}
