using SpecMesh.Contracts;
using SpecMesh.HostAgent;
using SpecMesh.ReplicationPolicy;

namespace SpecMesh.Services.Tests.HostAgent;

/// <summary>The real ownership event streams behind a line that a test can break: before a call, or after it, when its answer is lost.</summary>
internal sealed class ScriptedOwnership(Ownership real, Func<string, Task<IReadOnlyList<string>>> ownedBy) : IOwnershipLog
{
    private static readonly Func<string, CancellationToken, Task> Nothing = (_, _) => Task.CompletedTask;

    /// <summary>Runs before each call, named <c>transfer</c>, <c>refuse</c>, <c>release</c>, <c>owned</c> or <c>read</c>.</summary>
    public Func<string, CancellationToken, Task> Before { get; set; } = Nothing;

    /// <summary>Runs after each call, before its answer is given.</summary>
    public Func<string, CancellationToken, Task> After { get; set; } = Nothing;

    /// <summary>From now on no call is answered, and none has an effect.</summary>
    public void Sever() => Before = After = (_, token) => NoAnswerAsync(token);

    /// <summary>Waits until the caller gives up.</summary>
    public static Task NoAnswerAsync(CancellationToken cancellationToken) => new TaskCompletionSource().Task.WaitAsync(cancellationToken);

    /// <summary>The line is as it should be.</summary>
    public void Mend() => Before = After = Nothing;

    public Task<OwnershipAnswer> TransferAsync(string vmId, TransferOwnership request, CancellationToken cancellationToken) =>
        CallAsync("transfer", () => real.TransferAsync(vmId, request, cancellationToken), cancellationToken);

    public Task<OwnershipAnswer> RefuseAsync(string vmId, RefuseTransfer request, CancellationToken cancellationToken) =>
        CallAsync("refuse", () => real.RefuseAsync(vmId, request, cancellationToken), cancellationToken);

    public Task<OwnershipAnswer> ReleaseAsync(string vmId, ReleaseOwnership request, CancellationToken cancellationToken) =>
        CallAsync("release", () => real.ReleaseAsync(vmId, request, cancellationToken), cancellationToken);

    public Task<IReadOnlyList<string>> OwnedByAsync(string hostId, CancellationToken cancellationToken) =>
        CallAsync("owned", () => ownedBy(hostId), cancellationToken);

    public Task<OwnershipView> ReadAsync(string vmId, CancellationToken cancellationToken) => CallAsync("read", () => real.ReadAsync(vmId, cancellationToken), cancellationToken);

    private async Task<T> CallAsync<T>(string name, Func<Task<T>> call, CancellationToken cancellationToken)
    {
        await Before(name, cancellationToken);
        T answer = await call();
        await After(name, cancellationToken);
        return answer;
    }
}
