using Microsoft.Extensions.Logging.Abstractions;
using SpecMesh.Contracts;
using SpecMesh.HostAgent;
using SpecMesh.Hypervisors;
using SpecMesh.Hypervisors.Process;
using SpecMesh.Speculation.SpecOps;
using OsProcess = System.Diagnostics.Process;

namespace SpecMesh.Services.Tests.HostAgent;

/// <summary>One host with its agent, whose guests are processes. The agent may be killed and started again; the guests stay.</summary>
internal sealed class AgentHost : IAsyncDisposable
{
    public const string ClusterKey = "a key of sixteen!";

    private readonly AgentMesh mesh;
    private readonly string folder;
    private readonly List<Agent> killed = [];
    private CancellationTokenSource stop = new();
    private Task reports = Task.CompletedTask;

    private AgentHost(AgentMesh mesh, string id, string folder)
    {
        this.mesh = mesh;
        this.folder = folder;
        Id = id;
    }

    public string Id { get; }

    public Agent Agent { get; private set; } = null!;

    /// <summary>The line of the agent that runs now.</summary>
    public ScriptedOwnership Line { get; private set; } = null!;

    public static async Task<AgentHost> StartAsync(AgentMesh mesh, string id, string folder)
    {
        AgentHost host = new(mesh, id, folder);
        await host.StartAgentAsync();
        return host;
    }

    /// <summary>Starts an agent over what earlier ones have left. Returns when it takes commands.</summary>
    /// <param name="line">Breaks the line to the event streams before the agent uses it.</param>
    public async Task StartAgentAsync(Action<ScriptedOwnership>? line = null)
    {
        stop = new CancellationTokenSource();
        Line = new ScriptedOwnership(mesh.Ownership, mesh.OwnedByAsync);
        line?.Invoke(Line);
        HostAgentOptions options = new()
        {
            HostId = Id,
            FailureDomain = Id,
            MemoryBytes = 1L << 30,
            StateDirectory = folder,
            ClusterKey = ClusterKey,
            AllowFaultInjection = true,
            TickInterval = TimeSpan.FromMilliseconds(50),
            Limits = SourceLimits.Default with { VoteLimit = TimeSpan.FromMilliseconds(500), PauseLimit = AgentMesh.Patience },
        };
        Agent = new Agent(options, NewHypervisor(), Line, mesh.Bus, TimeProvider.System, NullLogger<Agent>.Instance);
        await Recover.RunAsync(Agent, stop.Token).WaitAsync(AgentMesh.Patience);
        reports = Task.WhenAll(Agent.Reports.RunAsync(stop.Token), Agent.Reconciler.RunAsync(stop.Token));
    }

    /// <summary>As if the process were killed: the agent says and appends nothing more, its journal's lock is free, and its listener is gone.</summary>
    public async Task KillAgentAsync()
    {
        Line.Sever();
        await StopReportsAsync();
        Agent.Journal.Dispose();
        await Agent.Listener.DisposeAsync();
        killed.Add(Agent);
    }

    /// <summary>As SIGTERM does it.</summary>
    public async Task StopAgentAsync()
    {
        await StopReportsAsync();
        await Agent.DisposeAsync().AsTask().WaitAsync(AgentMesh.Patience);
    }

    public void Start(StartReplica command) => StartReplicaHandler.Handle(Agent, command);

    public void Connect(ConnectReplica command) => ConnectReplicaHandler.Handle(Agent, command);

    public void Abort(AbortReplica command) => AbortReplicaHandler.Handle(Agent, command);

    public void Release(ReleaseSource command) => ReleaseSourceHandler.Handle(Agent, command);

    /// <summary>The guests that live on the host, whoever built them.</summary>
    public async Task<IReadOnlyList<(GuestTag Tag, GuestState? State)>> GuestsAsync()
    {
        List<(GuestTag, GuestState?)> found = [];
        foreach (IGuest guest in await NewHypervisor().FindGuestsAsync(CancellationToken.None))
        {
            found.Add((guest.Tag, guest.State));
            await guest.DisposeAsync();
        }

        return found;
    }

    /// <summary>Ends the process of a machine's guest, as the kernel does it when memory is short.</summary>
    public void KillGuest(string vmId)
    {
        string record = Assert.Single(Directory.GetFiles(Path.Combine(folder, "hypervisor", "guests"), $"{vmId}-*.json"));
        using System.Text.Json.JsonDocument json = System.Text.Json.JsonDocument.Parse(File.ReadAllText(record));
        OsProcess.GetProcessById(json.RootElement.GetProperty("pid").GetInt32()).Kill();
    }

    public async ValueTask DisposeAsync()
    {
        await StopAgentAsync();
        foreach (Agent agent in killed)
        {
            await agent.DisposeAsync();
        }

        foreach (IGuest guest in await NewHypervisor().FindGuestsAsync(CancellationToken.None))
        {
            await guest.DestroyAsync(CancellationToken.None);
        }
    }

    private ProcessHypervisor NewHypervisor() => new(new ProcessHypervisorOptions(Path.Combine(folder, "hypervisor")));

    private async Task StopReportsAsync()
    {
        await stop.CancelAsync();
        try
        {
            await reports;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            reports = Task.CompletedTask;
        }
    }
}
