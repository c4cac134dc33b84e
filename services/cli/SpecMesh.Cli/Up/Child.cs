using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;

namespace SpecMesh.Cli.Up;

/// <summary>A program to start.</summary>
/// <param name="Name">What the operator calls it.</param>
/// <param name="Program">Path, or a name to be found on the search path.</param>
/// <param name="Arguments">Its arguments.</param>
/// <param name="Environment">Variables beside those of this process.</param>
/// <param name="WorkingDirectory">Where it runs.</param>
/// <param name="LogFile">Where its output is appended; this process writes it, so its directory may be closed to <paramref name="User"/>.</param>
/// <param name="StopSignal">Signal that ends it in good order; also sent by the kernel when this process dies.</param>
/// <param name="User">Whom it runs as; null: as this process does.</param>
public sealed record ChildSpec(
    string Name,
    string Program,
    IReadOnlyList<string> Arguments,
    IReadOnlyDictionary<string, string> Environment,
    string WorkingDirectory,
    string LogFile,
    string StopSignal = "TERM",
    UnixUser? User = null);

/// <summary>
/// A running child process in a session of its own, so that a Ctrl-C at the terminal reaches this process alone and children are stopped in order.
/// The kernel signals the child when this process dies, however it dies.
/// </summary>
public sealed class Child : IDisposable
{
    /// <summary>How long a stopped child may take before it is killed.</summary>
    public static readonly TimeSpan StopBound = TimeSpan.FromSeconds(20);

    // The kernel ties the parent-death signal to the thread that forked: a pool thread may end at any time and would take the children along.
    private static readonly BlockingCollection<Action> Starts = CreateStarter();

    private readonly Process process;
    private readonly ChildSpec spec;

    private Child(ChildSpec spec, Process process)
    {
        this.spec = spec;
        this.process = process;
        Pid = process.Id;
        Exited = process.WaitForExitAsync();
    }

    /// <summary>Process id; it stays the same through the programs that prepare and become the child.</summary>
    public int Pid { get; }

    /// <summary>Completes when the child has ended.</summary>
    public Task Exited { get; }

    /// <summary>Exit status of an ended child; 128 + signal when a signal ended it.</summary>
    public int ExitCode => process.ExitCode;

    /// <summary>Starts a child.</summary>
    /// <exception cref="InvalidOperationException">The system cannot start a process.</exception>
    public static Child Start(ChildSpec spec)
    {
        TaskCompletionSource<Child> started = new();
        Starts.Add(() =>
        {
            try
            {
                Process process = Process.Start(StartInfo(spec)) ?? throw new InvalidOperationException($"{spec.Name} could not be started");
                started.SetResult(new Child(spec, process));
            }
            catch (Exception exception)
            {
                started.SetException(exception);
            }
        });
        return started.Task.GetAwaiter().GetResult();
    }

    /// <summary>Asks the child to end, and kills it and its session's processes when it has not done so after <paramref name="bound"/>.</summary>
    /// <returns>False when it had to be killed.</returns>
    public async Task<bool> StopAsync(TimeSpan bound)
    {
        if (!Exited.IsCompleted)
        {
            ProcessTable.Signal(Pid, spec.StopSignal);
            await Task.WhenAny(Exited, Task.Delay(bound));
        }

        if (Exited.IsCompleted)
        {
            return true;
        }

        ProcessTable.SignalGroup(Pid, "KILL");
        await Exited;
        return false;
    }

    public void Dispose() => process.Dispose();

    private static ProcessStartInfo StartInfo(ChildSpec spec)
    {
        // The log is opened by the shell, not piped through this process: a child must be able to write its last words after this process was killed.
        const string WithLog = "log=$1; shift; exec \"$@\" </dev/null >>\"$log\" 2>&1";
        ProcessStartInfo info = new("/bin/sh") { WorkingDirectory = spec.WorkingDirectory, UseShellExecute = false };
        List<string> arguments = ["-c", WithLog, "sh", spec.LogFile, "setsid", "setpriv", "--pdeathsig", spec.StopSignal];
        if (spec.User is { } user)
        {
            arguments.AddRange([
                $"--reuid={user.Uid.ToString(CultureInfo.InvariantCulture)}",
                $"--regid={user.Gid.ToString(CultureInfo.InvariantCulture)}",
                "--clear-groups"]);
        }

        arguments.AddRange(["--", spec.Program, .. spec.Arguments]);
        arguments.ForEach(info.ArgumentList.Add);
        foreach ((string name, string value) in spec.Environment)
        {
            info.Environment[name] = value;
        }

        return info;
    }

    private static BlockingCollection<Action> CreateStarter()
    {
        BlockingCollection<Action> starts = [];
        Thread thread = new(() =>
        {
            foreach (Action start in starts.GetConsumingEnumerable())
            {
                start();
            }
        })
        { IsBackground = true, Name = "child starter" };
        thread.Start();
        return starts;
    }
}
