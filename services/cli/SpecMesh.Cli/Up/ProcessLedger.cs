using System.Text.Json;

namespace SpecMesh.Cli.Up;

/// <summary>
/// The file that names the processes of a run. Who finds it after taking the state directory's lock knows that its writer was killed, and ends what is left.
/// </summary>
public sealed class ProcessLedger
{
    private readonly string file;
    private readonly string runId;
    private readonly List<KnownProcess> processes = [];

    /// <param name="file">Path of the ledger.</param>
    /// <param name="runId">The run that it belongs to.</param>
    public ProcessLedger(string file, string runId)
    {
        this.file = file;
        this.runId = runId;
    }

    /// <summary>Ends what an earlier run has left behind, and forgets it.</summary>
    /// <returns>The processes that still ran.</returns>
    public static async Task<IReadOnlyList<KnownProcess>> EndLeftoversAsync(string file)
    {
        if (!File.Exists(file))
        {
            return [];
        }

        Content? content = JsonSerializer.Deserialize<Content>(await File.ReadAllTextAsync(file));
        if (content is null)
        {
            throw new InvalidDataException($"{file} holds no process ledger");
        }

        IEnumerable<KnownProcess> marked = ProcessTable.WithVariable(Supervisor.RunVariable, content.RunId);
        IReadOnlyList<KnownProcess> ended = await ProcessTable.EndAsync(content.Processes.Concat(marked), TimeSpan.FromSeconds(10));
        File.Delete(file);
        return ended;
    }

    /// <summary>Writes a started child down.</summary>
    public void Add(ChildSpec spec, int pid)
    {
        lock (processes)
        {
            if (ProcessTable.StartTicksOf(pid) is { } ticks)
            {
                processes.RemoveAll(process => process.Name == spec.Name);
                processes.Add(new KnownProcess(spec.Name, pid, ticks, spec.StopSignal));
            }

            PrivateFiles.Write(file, JsonSerializer.Serialize(new Content(runId, processes)));
        }
    }

    /// <summary>Every process has ended.</summary>
    public void Clear() => File.Delete(file);

    private sealed record Content(string RunId, IReadOnlyList<KnownProcess> Processes);
}
