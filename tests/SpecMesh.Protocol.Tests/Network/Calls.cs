using SpecMesh.EventStore;
using SpecMesh.Hosting;
using SpecMesh.Protocol.Tests.Engine;
using SpecMesh.Protocol.Tests.Faults;
using SpecMesh.Protocol.Tests.Services;

namespace SpecMesh.Protocol.Tests.Network;

/// <summary>
/// Direct calls to replication-policy. Any instance answers. The call or its answer may be lost or late, and the caller does not know which: after its limit it counts as
/// unanswered, whatever came of it.
/// </summary>
internal sealed class Calls(Cluster cluster, IReadOnlyList<ServiceProcess> instances)
{
    /// <summary>Calls an instance.</summary>
    public async Task<(bool Answered, T? Value)> CallAsync<T>(Node from, TimeSpan limit, Func<ServiceProcess, Task<T>> work)
    {
        TaskCompletionSource<(bool, T?)> answer = new();
        cluster.Scheduler.After(limit, () => answer.TrySetResult((false, default)));
        int first = cluster.Links.Random.NextInt(instances.Count);
        ServiceProcess server = instances[first].Takes ? instances[first] : instances[(first + 1) % instances.Count];
        TimeSpan delay = cluster.Links.Delay();
        if (!server.Takes)
        {
            // Nobody listens: that is found out at once.
            cluster.Scheduler.After(delay, () => answer.TrySetResult((false, default)));
        }
        else if (!cluster.Links.IsCut(from, server.Node) && !cluster.Faults.Strikes(Fault.CallLost))
        {
            cluster.Scheduler.After(delay, server.Life, () => server.Guard(ServeAsync(from, server, work, answer)));
        }

        return await answer.Task;
    }

    private async Task ServeAsync<T>(Node from, ServiceProcess server, Func<ServiceProcess, Task<T>> work, TaskCompletionSource<(bool, T?)> answer)
    {
        (bool Answered, T? Value) result;
        try
        {
            result = (true, await work(server));
        }
        catch (Exception error) when (error is ConcurrencyException || StoreOutage.Is(error))
        {
            // The caller is told to come again.
            result = (false, default);
        }

        if (!cluster.Links.IsCut(server.Node, from) && !cluster.Faults.Strikes(Fault.AnswerLost))
        {
            cluster.Scheduler.After(cluster.Links.Delay(), () => answer.TrySetResult(result));
        }
    }
}
