using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using SpecMesh.Cli.Up;

namespace SpecMesh.Cli.Tests;

/// <summary><c>specmesh up</c> as a process of its own, on a topology of placeholder services in a directory of its own.</summary>
public sealed class UpProcess : IAsyncDisposable
{
    private static readonly TimeSpan Bound = TimeSpan.FromMinutes(3);

    private readonly CancellationTokenSource bound = new(Bound);
    private readonly Process process;
    private readonly StringBuilder output = new();
    private readonly bool ownsDirectory;

    private UpProcess(string directory, bool ownsDirectory)
    {
        Directory = directory;
        this.ownsDirectory = ownsDirectory;
        string program = Path.Combine(AppContext.BaseDirectory, "specmesh.dll");
        string[] arguments = [program, "up", "--no-build", "--topology", Path.Combine(directory, "tye.yaml"), "--state", State, "--ready-timeout", "60"];
        ProcessStartInfo info = new(Repository.Dotnet(), arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        process = Process.Start(info)!;
    }

    /// <summary>Holds the topology and the state.</summary>
    public string Directory { get; }

    /// <summary>The state directory.</summary>
    public string State => Path.Combine(Directory, "state");

    /// <summary>Process id of <c>specmesh up</c>.</summary>
    public int Pid => process.Id;

    /// <summary>What it has written so far.</summary>
    public string Output => output.ToString();

    /// <summary>Starts on a new topology, whose services are (name, manner of the placeholder, further lines of YAML).</summary>
    public static UpProcess Start(params (string Name, string Manner, string More)[] services)
    {
        StringBuilder topology = new("name: test\nservices:\n");
        foreach ((string name, string manner, string more) in services)
        {
            topology.Append(CultureInfo.InvariantCulture, $"""
                - name: {name}
                  executable: {Repository.Dotnet()}
                  args: {typeof(Placeholder).Assembly.Location} {manner}
                  readiness:
                    http:
                      path: /health/ready
                  bindings:
                  - protocol: http

                """).Append(more);
        }

        return StartOn(topology.ToString());
    }

    /// <summary>Starts on a topology given as text.</summary>
    public static UpProcess StartOn(string topology)
    {
        string directory = System.IO.Directory.CreateTempSubdirectory("specmesh-up-").FullName;
        File.WriteAllText(Path.Combine(directory, "tye.yaml"), topology);
        return new UpProcess(directory, ownsDirectory: true);
    }

    /// <summary>Starts once more on the same topology and state.</summary>
    public UpProcess Again() => new(Directory, ownsDirectory: false);

    /// <summary>Reads what it writes until a line holds a text.</summary>
    public async Task UntilAsync(string text)
    {
        while (await process.StandardOutput.ReadLineAsync(bound.Token) is { } line)
        {
            output.Append(line).Append('\n');
            if (line.Contains(text, StringComparison.Ordinal))
            {
                return;
            }
        }

        Assert.Fail($"specmesh up ended before it wrote '{text}':\n{output}\n{await process.StandardError.ReadToEndAsync(bound.Token)}");
    }

    /// <summary>Reads what it writes until it ends.</summary>
    /// <returns>Its status and what it wrote to standard error.</returns>
    public async Task<(int Status, string Error)> EndAsync()
    {
        Task<string> error = process.StandardError.ReadToEndAsync(bound.Token);
        output.Append(await process.StandardOutput.ReadToEndAsync(bound.Token));
        await process.WaitForExitAsync(bound.Token);
        return (process.ExitCode, await error);
    }

    /// <summary>The children that it has written down.</summary>
    public IReadOnlyList<KnownProcess> Children()
    {
        using JsonDocument ledger = JsonDocument.Parse(File.ReadAllText(Path.Combine(State, "processes.json")));
        return ledger.RootElement.GetProperty("Processes").Deserialize<KnownProcess[]>()!;
    }

    /// <summary>Everything that runs and belongs to the run of the ledger, children of children included.</summary>
    public IReadOnlyList<KnownProcess> Descendants()
    {
        using JsonDocument ledger = JsonDocument.Parse(File.ReadAllText(Path.Combine(State, "processes.json")));
        return ProcessTable.WithVariable(Supervisor.RunVariable, ledger.RootElement.GetProperty("RunId").GetString()!);
    }

    /// <summary>Waits until a process has ended, whoever its parent is.</summary>
    public async Task GoneAsync(KnownProcess gone)
    {
        try
        {
            using Process other = Process.GetProcessById(gone.Pid);
            if (ProcessTable.IsRunning(gone))
            {
                await other.WaitForExitAsync(bound.Token);
            }
        }
        catch (ArgumentException)
        {
            Assert.False(ProcessTable.IsRunning(gone)); // The id is free: it had ended before it was looked at.
        }
    }

    /// <summary>What a placeholder answers.</summary>
    public async Task<string> AskAsync(string service, string path)
    {
        string address = UpFile.Read(Path.Combine(State, "up.json"))!.Services[service];
        using HttpClient client = new();
        return await client.GetStringAsync(new Uri(address + path), bound.Token);
    }

    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited)
        {
            ProcessTable.Signal(process.Id, "TERM");
            await process.WaitForExitAsync(bound.Token);
        }

        process.Dispose();
        bound.Dispose();
        if (ownsDirectory)
        {
            await ProcessLedger.EndLeftoversAsync(Path.Combine(State, "processes.json"));
            System.IO.Directory.Delete(Directory, recursive: true);
        }
    }
}
