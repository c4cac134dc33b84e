using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using RabbitMQ.Client;
using SpecMesh.Cli.Demo;
using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.Hypervisors;
using SpecMesh.Speculation.Placement;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>What must hold after every fault: one outcome, one guest with its memory intact on the host that owns it, and nothing else left anywhere.</summary>
public sealed class Oracle(CrashSystem system, string vmId, Guid operationId)
{
    // The operation's own deadline ends what no message ends any more: ten seconds for a replica and thirty for the operation.
    private static readonly TimeSpan SettleBound = TimeSpan.FromSeconds(100);
    private static readonly string[] Services = ["replication-policy", "placement", "failure-monitor"];

    /// <summary>Queues of the services and of the hosts.</summary>
    public static IReadOnlyList<string> Queues { get; } = [.. Services, .. CrashSystem.Hosts.Select(HostQueue.Of)];

    /// <summary>Queues of messages that nobody could handle, or that could not leave.</summary>
    public static IReadOnlyList<string> Aside { get; } =
        [.. Queues.SelectMany(queue => (string[])[queue + "_error", queue + "_skipped"]), .. Services.Select(service => service + "_outbox_error")];

    /// <summary>Checks everything; returns the outcome for the table.</summary>
    public async Task<string> CheckAsync()
    {
        SpecOpState state = new(operationId);
        await Until.TrueAsync(
            async () =>
            {
                state = await OperationAsync();
                return state.Phase == SpecOpPhase.Settled ? null : $"the operation is {state.Phase}, not settled: {Describe(state)}";
            },
            SettleBound);
        await CheckOneOutcomeAsync();
        string owner = await CheckOwnerAsync(state);
        await Until.TrueAsync(RecordsLeftAsync);
        await CheckOneGuestAsync(owner);
        await Until.TrueAsync(JournalsLeft);
        await Until.TrueAsync(ReservationsLeftAsync);
        await Until.TrueAsync(OutboxLeftAsync);
        await Until.TrueAsync(MessagesLeftAsync);
        return string.Create(CultureInfo.InvariantCulture, $"{state.Completed!.Outcome} on {owner}: {state.Completed.Reason.Code}");
    }

    private async Task CheckOneOutcomeAsync()
    {
        IReadOnlyList<StoredEvent> events = await system.Store.ReadStreamAsync(EventStreams.OfOperation(operationId), 0, 1000, CancellationToken.None);
        Assert.Single(events, stored => stored.Data is SpecOpCompleted);
        Assert.Single(events, stored => stored.Data is SpecOpSettled);
    }

    /// <summary>The owner is the winner, and the source where there is none.</summary>
    private async Task<string> CheckOwnerAsync(SpecOpState state)
    {
        UnitOfWork work = new(system.Store, system.Types, "test");
        OwnershipView view = (await work.LoadAsync(EventStreams.OfVm(vmId), OwnershipDecider.Unknown(vmId), OwnershipDecider.Evolve, CancellationToken.None)).State;
        Assert.Null(view.OpenOperationId);
        string owner = state.Completed!.WinnerHostId ?? state.Accepted!.SourceHostId!;
        Assert.Equal(owner, view.OwnerHostId);
        return owner;
    }

    /// <summary>Looked at before anything that would clean up what the dead have left.</summary>
    private Task<string?> RecordsLeftAsync()
    {
        List<string> records = [];
        foreach (string host in CrashSystem.Hosts)
        {
            string folder = Path.Combine(system.State, host, "hypervisor", "guests");
            records.AddRange((Directory.Exists(folder) ? Directory.GetFiles(folder) : []).Where(file => Path.GetFileName(file).StartsWith(vmId + "-", StringComparison.Ordinal)));
        }

        IReadOnlyList<string> processes = HostInspection.Processes(vmId);
        return Task.FromResult(records.Count == 1 && processes.Count == 1 ? null : $"not one guest: {string.Join("; ", [.. records, .. processes])}");
    }

    private async Task CheckOneGuestAsync(string owner)
    {
        HostInspection hosts = new(CrashSystem.Hosts.ToDictionary(host => host, host => Path.Combine(system.State, host)));
        (string HostId, IGuest Guest) = Assert.Single(await hosts.FindAsync(vmId, CancellationToken.None));
        await using (Guest)
        {
            Assert.Equal(owner, HostId);
            Assert.Equal(GuestState.Running, Guest.State);
            GuestVerification memory = await Guest.VerifyAsync(CancellationToken.None);
            Assert.True(memory.Intact, $"{memory.BadPages} pages are wrong, the first of them {memory.FirstBadPage}");
        }
    }

    /// <summary>An agent that has nothing to remember has an empty journal.</summary>
    private string? JournalsLeft() => CrashSystem.Hosts
        .Select(host => (host, file: new FileInfo(Path.Combine(system.State, host, "agent.journal"))))
        .Where(journal => journal.file is { Exists: true, Length: > 0 })
        .Select(journal => $"{journal.host} has a journal of {journal.file.Length} bytes: {ReadLocked(journal.file.FullName)}")
        .FirstOrDefault();

    private async Task<string?> ReservationsLeftAsync()
    {
        UnitOfWork work = new(system.Store, system.Types, "test");
        List<string> allocated = [];
        foreach (string host in CrashSystem.Hosts)
        {
            HostState state = (await work.LoadAsync(EventStreams.OfHost(host), HostState.Unknown(host), HostState.Evolve, CancellationToken.None)).State;
            if (state.Reservations.ContainsKey(operationId))
            {
                return $"{host} is still reserved";
            }

            if (state.Allocations.ContainsKey(vmId))
            {
                allocated.Add(host);
            }
        }

        return allocated.Count == 1 ? null : $"the machine's memory is allocated on [{string.Join(", ", allocated)}]";
    }

    /// <summary>Deadlines that lie ahead stay; state decides whether they still act.</summary>
    private async Task<string?> OutboxLeftAsync()
    {
        foreach (string service in Services)
        {
            if (await system.Store.NextDueAsync(service, CancellationToken.None) is { } due && due < DateTimeOffset.UtcNow)
            {
                return $"the outbox of {service} holds a message that was due at {due:O}";
            }
        }

        return null;
    }

    private async Task<string?> MessagesLeftAsync()
    {
        await using IConnection connection = await BrokerFaults.ConnectAsync(system.Bus);
        foreach (string queue in (string[])[.. Queues, .. Aside])
        {
            if (await BrokerFaults.CountAsync(connection, queue) is > 0 and var messages)
            {
                return $"{queue} holds {messages} messages";
            }
        }

        return null;
    }

    private async Task<SpecOpState> OperationAsync()
    {
        UnitOfWork work = new(system.Store, system.Types, "test");
        return (await work.LoadAsync(EventStreams.OfOperation(operationId), new SpecOpState(operationId), SpecOpState.Evolve, CancellationToken.None)).State;
    }

    private static string Describe(SpecOpState state) =>
        $"source {(state.Source is null ? "holds" : "released")}, resumed {state.Resumed}, {JsonSerializer.Serialize(state.Replicas.Values, ContractJson.Options)}";

    /// <summary>The journal is locked by its agent, and .NET's own files respect that.</summary>
    private static string ReadLocked(string path)
    {
        using Process cat = Process.Start(new ProcessStartInfo("cat", [path]) { RedirectStandardOutput = true })!;
        return cat.StandardOutput.ReadToEnd();
    }
}
