using System.Diagnostics;
using System.Globalization;

namespace SpecMesh.Cli.Up;

/// <summary>Tells whether a child is ready.</summary>
/// <returns>Null when it is; otherwise what is still missing, for the operator.</returns>
public delegate Task<string?> ReadinessProbe(CancellationToken cancellationToken);

/// <summary>A child did not become ready.</summary>
public sealed class StartFailedException(string message) : Exception(message);

/// <summary>
/// Starts children, waits until they are ready, starts those that die again, and stops all of them in the reverse order of their stages.
/// </summary>
/// <param name="runId">Marks every process below this one (variable <see cref="RunVariable"/>), so that none is overlooked at the end.</param>
/// <param name="ledger">Remembers the children for a successor, should this process be killed.</param>
/// <param name="report">Receives lines for the operator; called from several threads.</param>
/// <param name="longestPause">Longest pause before a child that died is started again; null: half a minute, for one that dies again and again.</param>
public sealed class Supervisor(string runId, ProcessLedger ledger, Action<string> report, TimeSpan? longestPause = null) : IAsyncDisposable
{
    /// <summary>Environment variable that every process of a run inherits.</summary>
    public const string RunVariable = "SPECMESH_RUN";

    private const int DeathsWhileStarting = 3;
    private static readonly TimeSpan ProbePause = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan LongestBackOff = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan SettledAfter = TimeSpan.FromMinutes(1);

    private readonly TimeSpan longestPause = longestPause ?? LongestBackOff;
    private readonly CancellationTokenSource stopping = new();
    private readonly List<List<Supervised>> stages = [[]];

    /// <summary>Children started from here on belong to a later stage: they are stopped before those started so far.</summary>
    public void BeginStage() => stages.Add([]);

    /// <summary>Starts a child and waits until it is ready.</summary>
    /// <param name="spec">The child.</param>
    /// <param name="probe">Asked again and again; null: it is ready when it has started.</param>
    /// <param name="bound">How long it may take.</param>
    /// <param name="cancellationToken">Ends the waiting; the child stays until <see cref="DisposeAsync"/>.</param>
    /// <exception cref="StartFailedException">It died too often or took too long; the message ends with the end of its log.</exception>
    public async Task StartAsync(ChildSpec spec, ReadinessProbe? probe, TimeSpan bound, CancellationToken cancellationToken)
    {
        Dictionary<string, string> environment = new(spec.Environment) { [RunVariable] = runId };
        Supervised child = new(spec with { Environment = environment }, probe);
        lock (stages)
        {
            stages[^1].Add(child);
        }

        Launch(child);
        child.Watch = WatchAsync(child);
        Stopwatch watch = Stopwatch.StartNew();
        while (await MissingAsync(child, cancellationToken) is { } missing)
        {
            if (child.Deaths >= DeathsWhileStarting)
            {
                throw new StartFailedException($"{spec.Name} ended {DeathsWhileStarting} times while starting, last with status {child.LastStatus}.\n{LogTail.Of(spec.LogFile)}");
            }

            if (watch.Elapsed > bound)
            {
                throw new StartFailedException($"{spec.Name} was not ready after {bound.TotalSeconds:0} s: {missing}.\n{LogTail.Of(spec.LogFile)}");
            }

            await Task.Delay(ProbePause, cancellationToken);
        }
    }

    /// <summary>Stops everything, stage by stage, and whatever the children themselves have left behind.</summary>
    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync();
        foreach (List<Supervised> stage in Enumerable.Reverse(stages))
        {
            await Task.WhenAll(stage.Select(StopAsync));
        }

        IReadOnlyList<KnownProcess> left = await ProcessTable.EndAsync(ProcessTable.WithVariable(RunVariable, runId), TimeSpan.FromSeconds(5));
        foreach (KnownProcess process in left)
        {
            report(string.Create(CultureInfo.InvariantCulture, $"{process.Name} (process {process.Pid}) was left behind and has been ended"));
        }

        ledger.Clear();
        stopping.Dispose();
    }

    private static async Task<string?> MissingAsync(Supervised child, CancellationToken cancellationToken)
    {
        string? missing = child.Probe is null ? null : await child.Probe(cancellationToken);
        // An answer on the child's port while the child has ended is somebody else's.
        return missing is null && child.Current!.Exited.IsCompleted ? "it has ended" : missing;
    }

    private void Launch(Supervised child)
    {
        lock (child)
        {
            if (stopping.IsCancellationRequested)
            {
                return;
            }

            child.Current?.Dispose();
            child.Current = Child.Start(child.Spec);
            ledger.Add(child.Spec, child.Current.Pid);
        }
    }

    private async Task WatchAsync(Supervised child)
    {
        TimeSpan backOff = TimeSpan.FromSeconds(1);
        while (!stopping.IsCancellationRequested)
        {
            Stopwatch alive = Stopwatch.StartNew();
            Child current = child.Current!;
            await current.Exited;
            if (stopping.IsCancellationRequested)
            {
                return;
            }

            child.LastStatus = current.ExitCode;
            child.Deaths++;
            backOff = alive.Elapsed > SettledAfter ? TimeSpan.FromSeconds(1) : backOff;
            report($"{child.Spec.Name} ended with status {child.LastStatus}; it is started again in {backOff.TotalSeconds:0} s (log: {child.Spec.LogFile})");
            await Task.WhenAny(Task.Delay(backOff, stopping.Token));
            backOff = backOff * 2 < longestPause ? backOff * 2 : longestPause;
            Launch(child);
            child.Recovery = ReportRecoveryAsync(child);
        }
    }

    private async Task ReportRecoveryAsync(Supervised child)
    {
        Task exited = child.Current!.Exited;
        while (!exited.IsCompleted && !stopping.IsCancellationRequested)
        {
            if (await MissingAsync(child, CancellationToken.None) is null)
            {
                report($"{child.Spec.Name} is ready again");
                return;
            }

            await Task.WhenAny(exited, Task.Delay(ProbePause, stopping.Token));
        }
    }

    private async Task StopAsync(Supervised child)
    {
        Child? current;
        lock (child)
        {
            current = child.Current;
        }

        if (current is null)
        {
            return;
        }

        if (!await current.StopAsync(Child.StopBound))
        {
            report($"{child.Spec.Name} did not end within {Child.StopBound.TotalSeconds:0} s and was killed");
        }

        await child.Watch;
        await child.Recovery;
        current.Dispose();
    }

    private sealed class Supervised(ChildSpec spec, ReadinessProbe? probe)
    {
        public ChildSpec Spec { get; } = spec;

        public ReadinessProbe? Probe { get; } = probe;

        public Child? Current { get; set; }

        public Task Watch { get; set; } = Task.CompletedTask;

        public Task Recovery { get; set; } = Task.CompletedTask;

        public int Deaths { get; set; }

        public int LastStatus { get; set; }
    }
}
