using System.Diagnostics;
using System.Text.Json;
using SpecMesh.Cli.Demo;
using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.Hypervisors;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Integration.Tests;

/// <summary>
/// A process of the running system stops dead in the middle of a migration. Whatever the outcome: it comes, exactly one guest runs with its memory intact, and nothing of
/// the operation is left.
/// </summary>
[Collection(RunningSystemCollection.Name)]
public sealed class KillTests(RunningSystemFixture system)
{
    private static readonly TimeSpan Bound = TimeSpan.FromMinutes(4);

    [ServersTheory]
    [InlineData("rabbitmq")]
    [InlineData("postgres")]
    [InlineData("replication-policy")]
    [InlineData("placement")]
    [InlineData("target")]
    [InlineData("source")]
    public async Task one_guest_survives_the_death_of(string victim)
    {
        string vm = Operations.NewVm();
        string source = (await system.Gateway.PowerOnAsync(vm, 128 << 20, 20_000)).WinnerHostId!;
        Guid id = await system.Gateway.SubmitAsync(new OperationRequest(OperationKind.Migrate, vm, 2));
        SpecOpState started = await UntilAsync(id, state => state.Replicas.Values.Any(replica => replica.Phase != ReplicaPhase.Planned));
        string name = victim switch
        {
            "source" => source,
            "target" => started.Replicas.Values.First(replica => replica.Phase != ReplicaPhase.Planned).HostId,
            _ => victim,
        };
        Kill(name);

        SpecOpState ended = await UntilAsync(id, state => state.Phase == SpecOpPhase.Settled);
        string owner = ended.Completed!.WinnerHostId ?? source;
        HostInspection hosts = new(system.Up.Services.Keys.Where(service => service.StartsWith("host-", StringComparison.Ordinal))
            .ToDictionary(host => host, host => Path.Combine(system.State, host)));
        (string HostId, IGuest Guest) = Assert.Single(await hosts.FindAsync(vm, CancellationToken.None));
        Assert.Equal(owner, HostId);
        Assert.Equal(GuestState.Running, Guest.State);
        Assert.True((await Guest.VerifyAsync(CancellationToken.None)).Intact);
        Assert.Single(HostInspection.Processes(vm));
        await Guest.DisposeAsync();
    }

    private void Kill(string name)
    {
        using JsonDocument ledger = JsonDocument.Parse(File.ReadAllText(Path.Combine(system.State, "processes.json")));
        int pid = PidOf(ledger.RootElement, name) ?? throw new InvalidOperationException($"{name} is not in the ledger: {ledger.RootElement}");
        using Process process = Process.GetProcessById(pid);
        process.Kill();
    }

    private static int? PidOf(JsonElement element, string name)
    {
        if (element.ValueKind == JsonValueKind.Object && element.TryGetProperty("Name", out JsonElement found) && found.GetString() == name)
        {
            return element.GetProperty("Pid").GetInt32();
        }

        IEnumerable<JsonElement> parts = element.ValueKind switch
        {
            JsonValueKind.Array => element.EnumerateArray(),
            JsonValueKind.Object => element.EnumerateObject().Select(property => property.Value),
            _ => [],
        };
        return parts.Select(part => PidOf(part, name)).FirstOrDefault(pid => pid is not null);
    }

    /// <summary>Follows the operation in the store itself, because the services that would tell may be the ones that died.</summary>
    private async Task<SpecOpState> UntilAsync(Guid id, Func<SpecOpState, bool> holds)
    {
        Stopwatch waited = Stopwatch.StartNew();
        SpecOpState state = new(id);
        while (waited.Elapsed < Bound)
        {
            try
            {
                Task changed = system.Store.WaitForChangeAsync(TimeSpan.FromMilliseconds(100), CancellationToken.None);
                UnitOfWork work = new(system.Store, system.Types, "test");
                state = (await work.LoadAsync(EventStreams.OfOperation(id), new SpecOpState(id), SpecOpState.Evolve, CancellationToken.None)).State;
                if (holds(state))
                {
                    return state;
                }

                await changed;
            }
            catch (Exception error) when (error is System.Data.Common.DbException or IOException or TimeoutException && waited.Elapsed < Bound)
            {
                // The database is the victim, or has just come back.
                Trace.WriteLine(error.Message);
            }
        }

        throw new TimeoutException($"The operation stayed {state.Phase}: {JsonSerializer.Serialize(state.Replicas.Values, ContractJson.Options)}");
    }
}
