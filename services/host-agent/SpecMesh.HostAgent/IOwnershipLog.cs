using System.Net.Http.Headers;
using SpecMesh.Contracts;
using SpecMesh.Hosting;

namespace SpecMesh.HostAgent;

/// <summary>
/// The ownership event streams, as an agent reaches them: over HTTP, or in the same process. Every call is idempotent and is answered or throws: after an exception it
/// may or may not have happened.
/// </summary>
public interface IOwnershipLog
{
    /// <summary>How long an agent waits for a call before it counts as unanswered and is repeated.</summary>
    static readonly TimeSpan CallLimit = TimeSpan.FromSeconds(2);

    /// <summary>Commits: makes the calling host the owner.</summary>
    Task<OwnershipAnswer> TransferAsync(string vmId, TransferOwnership request, CancellationToken cancellationToken);

    /// <summary>Takes the source's vote back, and makes every image void.</summary>
    Task<OwnershipAnswer> RefuseAsync(string vmId, RefuseTransfer request, CancellationToken cancellationToken);

    /// <summary>Gives up the ownership of a guest that has ended.</summary>
    Task<OwnershipAnswer> ReleaseAsync(string vmId, ReleaseOwnership request, CancellationToken cancellationToken);

    /// <summary>Reads what the event stream says now.</summary>
    Task<OwnershipView> ReadAsync(string vmId, CancellationToken cancellationToken);

    /// <summary>Machines that the event streams give to the calling host. The list may be behind by moments: read each machine before anything is done about it.</summary>
    Task<IReadOnlyList<string>> OwnedByAsync(string hostId, CancellationToken cancellationToken);
}

/// <summary>The direct calls to replication-policy, authenticated as this host.</summary>
public sealed class HttpOwnershipLog(HttpClient http) : IOwnershipLog
{
    public Task<OwnershipAnswer> TransferAsync(string vmId, TransferOwnership request, CancellationToken cancellationToken) =>
        PostAsync(vmId, "transfer", request, cancellationToken);

    public Task<OwnershipAnswer> RefuseAsync(string vmId, RefuseTransfer request, CancellationToken cancellationToken) =>
        PostAsync(vmId, "refuse", request, cancellationToken);

    public Task<OwnershipAnswer> ReleaseAsync(string vmId, ReleaseOwnership request, CancellationToken cancellationToken) =>
        PostAsync(vmId, "release", request, cancellationToken);

    public async Task<IReadOnlyList<string>> OwnedByAsync(string hostId, CancellationToken cancellationToken) =>
        await http.GetFromJsonAsync<IReadOnlyList<string>>($"ownership?host={hostId}", ContractJson.Options, cancellationToken)
            ?? throw new HttpRequestException($"The answer says nothing about {hostId}.");

    public async Task<OwnershipView> ReadAsync(string vmId, CancellationToken cancellationToken) =>
        Check(vmId, await http.GetFromJsonAsync<OwnershipView>($"ownership/{vmId}", ContractJson.Options, cancellationToken));

    private async Task<OwnershipAnswer> PostAsync<T>(string vmId, string call, T request, CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await http.PostAsJsonAsync($"ownership/{vmId}/{call}", request, ContractJson.Options, cancellationToken);
        response.EnsureSuccessStatusCode();
        OwnershipAnswer? answer = await response.Content.ReadFromJsonAsync<OwnershipAnswer>(ContractJson.Options, cancellationToken);
        Check(vmId, answer?.View);
        return answer!;
    }

    /// <summary>JSON that is no answer, from something that stands in replication-policy's place, is as good as none.</summary>
    private static OwnershipView Check(string vmId, OwnershipView? view) =>
        view?.VmId == vmId ? view : throw new HttpRequestException($"The answer says nothing about {vmId}.");
}

/// <summary>Registers the calls over HTTP.</summary>
public static class HttpOwnershipLogRegistration
{
    public static void AddHttpOwnershipLog(this IServiceCollection services, HostAgentOptions options)
    {
        HttpClient http = new(new SocketsHttpHandler { PooledConnectionIdleTimeout = TimeSpan.FromMinutes(5), ConnectTimeout = IOwnershipLog.CallLimit })
        {
            BaseAddress = options.ReplicationPolicyUrl ?? throw new InvalidOperationException("SpecMesh:ReplicationPolicyUrl is missing."),
            Timeout = IOwnershipLog.CallLimit,
        };
        http.DefaultRequestHeaders.Authorization = AuthenticationHeaderValue.Parse(AgentCredential.For(options.HostId, options.ClusterKey));
        services.AddSingleton<IOwnershipLog>(new HttpOwnershipLog(http));
    }
}
