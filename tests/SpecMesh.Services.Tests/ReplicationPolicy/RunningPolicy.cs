using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.ReplicationPolicy;
using SpecMesh.Services.Tests.Hosting;

namespace SpecMesh.Services.Tests.ReplicationPolicy;

/// <summary>Where the test heard a message: <c>bus</c> for a published one, a host's id for one to its agent.</summary>
internal sealed record Heard(string Where, object Message);

/// <summary>The service on Kestrel, the embedded bus and SQLite, with hosts <c>source</c>, <c>h1</c> and <c>h2</c> and their agents' queues.</summary>
public sealed class RunningPolicy : IAsyncLifetime
{
    public const string ClusterKey = "cluster-secret-0123456789";

    private readonly Lock gate = new();
    private readonly List<Heard> heard = [];
    private TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    internal RunningService Service { get; private set; } = null!;

    internal HttpClient Http { get; private set; } = null!;

    public Task InitializeAsync() => StartAsync();

    /// <param name="further">Registers what only this test needs.</param>
    /// <param name="settings">Settings that differ.</param>
    internal async Task<RunningPolicy> StartAsync(Action<MeshBuilder>? further = null, params (string Key, string Value)[] settings)
    {
        Service = await RunningService.StartAsync(
            mesh =>
            {
                mesh.AddReplicationPolicy();
                AddProbes(mesh);
                further?.Invoke(mesh);
            },
            app => app.MapReplicationPolicy(),
            [.. new[] { "source", "h1", "h2" }.Select(host => (EventStreams.OfHost(host), new object[] { new HostRegistered(host, "rack-" + host, 1L << 30) }))],
            ReplicationPolicyService.Name,
            [("SpecMesh:ClusterKey", ClusterKey), .. settings]);
        Http = Service.NewClient();
        return this;
    }

    /// <summary>A client that calls as the agent of a host.</summary>
    internal HttpClient NewAgent(string hostId)
    {
        HttpClient agent = new() { BaseAddress = Service.Url, Timeout = Mesh.Patience };
        agent.DefaultRequestHeaders.TryAddWithoutValidation("Authorization", AgentCredential.For(hostId, ClusterKey));
        return agent;
    }

    /// <summary>The first message heard of that type that fits.</summary>
    internal async Task<(string Where, T Message)> HearAsync<T>(Func<T, bool> fits)
    {
        using CancellationTokenSource patience = new(Mesh.Patience);
        while (true)
        {
            Task next;
            lock (gate)
            {
                if (heard.Find(one => one.Message is T message && fits(message)) is { } found)
                {
                    return (found.Where, (T)found.Message);
                }

                next = changed.Task;
            }

            await next.WaitAsync(patience.Token);
        }
    }

    /// <summary>Everything heard so far.</summary>
    internal IReadOnlyList<Heard> HeardSoFar()
    {
        lock (gate)
        {
            return [.. heard];
        }
    }

    public async Task DisposeAsync()
    {
        Http.Dispose();
        await Service.DisposeAsync();
    }

    private void AddProbes(MeshBuilder mesh)
    {
        mesh.Endpoint("probe", probe => probe
            .Receive<SpecOpAccepted>(Note).Receive<SpecOpRefused>(Note).Receive<SpecOpCompleted>(Note).Receive<SpecOpSettled>(Note)
            .Receive<SelectTargets>(Note).Receive<ReleaseTargets>(Note).Receive<OwnershipTransferred>(Note).Receive<TransferRefused>(Note));
        foreach (string host in (string[])["source", "h1", "h2"])
        {
            mesh.Endpoint(HostQueue.Of(host), agent => agent
                .Receive<StartReplica>((message, _, _) => Note(host, message)).Receive<ConnectReplica>((message, _, _) => Note(host, message))
                .Receive<AbortReplica>((message, _, _) => Note(host, message)).Receive<CommitReplica>((message, _, _) => Note(host, message)).Receive<ReleaseSource>((message, _, _) => Note(host, message)));
        }
    }

    private Task Note(object message, HandlerContext context, CancellationToken cancellationToken) => Note("bus", message);

    private Task Note(string where, object message)
    {
        lock (gate)
        {
            heard.Add(new Heard(where, message));
            changed.TrySetResult();
            changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        return Task.CompletedTask;
    }
}
