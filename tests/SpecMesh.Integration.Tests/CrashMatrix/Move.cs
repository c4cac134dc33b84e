using System.Net.Http.Json;
using System.Text.Json;
using SpecMesh.Contracts;

namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>
/// One migration of a machine of its own, with two replicas. The parts go round among the hosts. The loser's host receives slowly, so that without a fault the winner is known
/// beforehand.
/// </summary>
public sealed class Move
{
    private const long MemoryBytes = 16 << 20;
    private const double WritePagesPerSecond = 500;
    private const long LoserBytesPerSecond = 6 << 20;
    private readonly CrashSystem system;

    /// <param name="system">Where.</param>
    /// <param name="number">Says which host has which part.</param>
    public Move(CrashSystem system, int number)
    {
        this.system = system;
        string[] hosts = CrashSystem.Hosts;
        (Source, Winner, Loser) = (hosts[number % 3], hosts[(number + 1) % 3], hosts[(number + 2) % 3]);
    }

    public string VmId { get; } = Operations.NewVm();

    public string Source { get; }

    /// <summary>The target that wins unless something happens to it.</summary>
    public string Winner { get; }

    public string Loser { get; }

    /// <summary>The migration's id once it is accepted.</summary>
    public Guid OperationId { get; private set; }

    /// <summary>The process that has a part in the operation, or bears the name.</summary>
    public string ProcessOf(string part) => part switch
    {
        "source" => Source,
        "winner" => Winner,
        "loser" => Loser,
        _ => part,
    };

    /// <summary>The processes that a cell strikes.</summary>
    public IReadOnlyList<string> ProcessesOf(string part) => part == Cell.Everyone ? [.. Cell.Processes.Select(ProcessOf)] : [ProcessOf(part)];

    /// <summary>Powers the machine on at its source.</summary>
    public async Task PowerOnAsync()
    {
        foreach (string host in CrashSystem.Hosts)
        {
            FaultKind kind = host == Loser ? FaultKind.ThrottleTransfer : FaultKind.None;
            await BrokerFaults.SendAsync(system.Bus, host, new InjectFault(host, kind, 0, LoserBytesPerSecond));
        }

        OperationView view = await system.Gateway.PowerOnAsync(VmId, MemoryBytes, WritePagesPerSecond, Source);
        Assert.Equal(Source, view.WinnerHostId);
    }

    /// <summary>Asks for the migration, as a client does that gets no answer: again, under the same key, until it is told that the operation is accepted.</summary>
    public async Task<Guid> SubmitAsync()
    {
        OperationRequest request = new(OperationKind.Migrate, VmId, 2, [Winner, Loser], new CostLimits(TimeoutSeconds: 10));
        string key = Guid.NewGuid().ToString();
        Guid? id = null;
        await Until.TrueAsync(async () =>
        {
            using HttpRequestMessage message = new(HttpMethod.Post, "/v1/operations") { Content = JsonContent.Create(request, options: ContractJson.Options) };
            message.Headers.Add("Idempotency-Key", key);
            using HttpResponseMessage response = await system.Gateway.SendAsync(message);
            string body = await response.Content.ReadAsStringAsync();
            if ((int)response.StatusCode is >= 400 and < 500)
            {
                Assert.Fail($"{response.StatusCode}: {body}");
            }

            id = response.IsSuccessStatusCode ? JsonSerializer.Deserialize<OperationAccepted>(body, ContractJson.Options)!.OperationId : null;
            return id is null ? $"{response.StatusCode}: {body}" : null;
        });
        return OperationId = id!.Value;
    }
}
