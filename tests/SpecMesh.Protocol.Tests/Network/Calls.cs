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
    /// <param name="from">The caller's machine.</param>
    /// <param name="limit">After this the call counts as unanswered.</param>
    /// <param name="work">What the instance does.</param>
    /// <param name="late">Told of an answer that comes after the limit, also of one that would be lost; null: nobody hears of it.</param>
    public async Task<(bool Answered, T? Value)> CallAsync<T>(Node from, TimeSpan limit, Func<ServiceProcess, Task<T>> work, Action<T>? late = null)
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
            cluster.Scheduler.After(delay, server.Life, () => server.Guard(ServeAsync(from, server, work, answer, late)));
        }

        return await answer.Task;
    }

    private async Task ServeAsync<T>(Node from, ServiceProcess server, Func<ServiceProcess, Task<T>> work, TaskCompletionSource<(bool, T?)> answer, Action<T>? late)
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

        bool isLost = cluster.Links.IsCut(server.Node, from) || cluster.Faults.Strikes(Fault.AnswerLost);
        if (isLost && late is null)
        {
            return;
        }

        TimeSpan delay = cluster.Links.Delay();
        cluster.Scheduler.After(isLost ? delay + TimeSpan.FromSeconds(cluster.Links.Random.Uniform(1, 6)) : delay, () =>
        {
            if (!answer.TrySetResult(result) && result.Answered)
            {
                late?.Invoke(result.Value!);
            }
        });
    }
}
