using System.CommandLine;
using System.Runtime.InteropServices;

namespace SpecMesh.Cli.Commands;

/// <summary>A command cannot do what it was asked; the message is for the operator.</summary>
public class CommandException(string message) : Exception(message);

/// <summary>Runs the command line. Exit status 0: done. 1: not done. 2: the command line itself is wrong.</summary>
public static class CommandLine
{
    /// <summary>Status of a command line that cannot be understood.</summary>
    public const int UsageStatus = 2;

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
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context => Stop(context, stop));
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => Stop(context, stop));
        using PosixSignalRegistration hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, context => Stop(context, stop));
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

    private static void Stop(PosixSignalContext context, CancellationTokenSource stop)
    {
        // The first signal stops in good order; a second one has its usual effect.
        context.Cancel = !stop.IsCancellationRequested;
        stop.Cancel();
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
