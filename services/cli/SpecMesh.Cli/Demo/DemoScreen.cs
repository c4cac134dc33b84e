using System.Globalization;
using SpecMesh.Cli.Commands;
using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.Speculation.SpecOps;
using Spectre.Console;

namespace SpecMesh.Cli.Demo;

/// <summary>What a person sees: a live table at a terminal, plain lines elsewhere, nothing but the result with <c>--json</c>.</summary>
internal sealed class DemoScreen(DemoOptions options)
{
    private static readonly TimeSpan RefreshInterval = TimeSpan.FromMilliseconds(200);
    private readonly List<StoredEvent> recorded = [];
    private readonly List<string> lines = [];
    private bool live;

    /// <summary>Says a sentence.</summary>
    public void Say(string sentence)
    {
        if (!options.Json)
        {
            Console.WriteLine(sentence);
        }
    }

    /// <summary>Keeps an event for the story at the end; without a terminal it is told at once.</summary>
    public void Record(StoredEvent stored, EventTypes types)
    {
        recorded.Add(stored);
        string line = Describe(stored, types);
        lines.Add(line);
        if (!live)
        {
            Say(line);
        }
    }

    /// <summary>Shows the replicas until it is disposed.</summary>
    public IDisposable? Follow(Func<SpecOpState> state, ProgressFeed progress)
    {
        live = !options.Json && !Console.IsOutputRedirected && AnsiConsole.Profile.Capabilities.Ansi;
        return live ? new LiveTable(() => Draw(state(), progress)) : null;
    }

    /// <summary>The end of the story.</summary>
    public void ShowResult(DemoResult result)
    {
        if (options.Json)
        {
            Console.WriteLine(System.Text.Json.JsonSerializer.Serialize(result, ContractJson.Options));
            return;
        }

        if (live)
        {
            Say("");
            Say("The operation's event stream:");
            lines.ForEach(Say);
        }

        Say("");
        Output.Table(
            ["replica", "state", "rounds", "MiB sent", "reason"],
            result.Replicas.Select(replica => (IReadOnlyList<string>)[replica.Target, replica.State, Number(replica.Rounds), Mebibytes(replica.BytesSent), replica.Reason]));
        Say($"operation {result.Operation} {result.Outcome}; {result.Runners} guest runs{(result.Winner is null ? "" : $", on {result.Winner}")}; memory {(result.MemoryVerified ? "verified" : "WRONG")}");
        Say(string.Create(CultureInfo.InvariantCulture, $"downtime {result.DowntimeMs ?? 0:0.0} ms, {Mebibytes(result.BytesSent)} MiB sent in all, seed {options.Seed}"));
        Say(result.Leftovers.Count == 0 ? "nothing is left behind" : "LEFT BEHIND: " + string.Join("; ", result.Leftovers));
    }

    private static Table Draw(SpecOpState state, ProgressFeed progress)
    {
        Table table = new() { Border = TableBorder.Rounded };
        foreach (string heading in (string[])["replica", "host", "round", "pages sent", "pages left", "MiB/s", "ETA", "state"])
        {
            table.AddColumn(new TableColumn(new Text(heading)));
        }

        foreach (ReplicaState replica in state.Replicas.Values)
        {
            ReplicaProgressed? at = progress.Of(state.OperationId, replica.Replica);
            double rate = at?.AcknowledgedBytesPerSecond ?? 0;
            string eta = !replica.IsLive || at is null ? "" : rate <= 0 ? "-" : string.Create(CultureInfo.InvariantCulture, $"{at.PendingPages * 4096 / rate:0.0} s");
            string outcome = replica.Outcome is { } ended ? $"{ended.ToString().ToLowerInvariant()}: {replica.Reason?.Code}" : replica.Phase.ToString().ToLowerInvariant();
            table.AddRow(
                new Text(Number(replica.Replica)),
                new Text(replica.HostId),
                new Text(Number(at?.Round ?? replica.LastRound)),
                new Text(Number(at?.PagesSent ?? replica.Counters.PagesSent)),
                new Text(replica.IsLive ? Number(at?.PendingPages ?? 0) : ""),
                new Text(replica.IsLive ? Mebibytes((long)rate) : ""),
                new Text(eta),
                new Text(outcome));
        }

        return table;
    }

    private string Describe(StoredEvent stored, EventTypes types)
    {
        TimeSpan since = stored.Timestamp - recorded[0].Timestamp;
        using System.Text.Json.JsonDocument data = System.Text.Json.JsonDocument.Parse(types.Write(stored.Data));
        return string.Create(CultureInfo.InvariantCulture, $"{since.TotalSeconds,8:0.000} s  {stored.Version,4}  {stored.Alias,-24} {Views.Line(data.RootElement)}");
    }

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);

    private static string Mebibytes(long bytes) => (bytes / 1048576.0).ToString("0.0", CultureInfo.InvariantCulture);

    /// <summary>Redraws a table in place, on a task of its own, until it is disposed.</summary>
    private sealed class LiveTable : IDisposable
    {
        private readonly CancellationTokenSource done = new();
        private readonly Task drawing;

        public LiveTable(Func<Table> draw) => drawing = AnsiConsole.Live(draw()).StartAsync(async context =>
        {
            using PeriodicTimer timer = new(RefreshInterval);
            while (!done.IsCancellationRequested)
            {
                await timer.WaitForNextTickAsync(CancellationToken.None);
                context.UpdateTarget(draw());
            }
        });

        public void Dispose()
        {
            done.Cancel();
            drawing.GetAwaiter().GetResult();
            done.Dispose();
        }
    }
}
