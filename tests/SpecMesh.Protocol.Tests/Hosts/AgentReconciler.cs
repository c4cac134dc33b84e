using SpecMesh.Contracts;
using SpecMesh.ReplicationPolicy;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Protocol.Tests.Hosts;

/// <summary>Compares the guests on a host with the event streams, as the agent's own <c>Reconciler</c> does it: the production <see cref="Reconciliation"/> decides.</summary>
internal sealed class AgentReconciler(Agent agent)
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan Soonest = TimeSpan.FromSeconds(2);

    private TaskCompletionSource wanted = new();
    private readonly HashSet<(string VmId, int Epoch)> ended = [];
    private bool knowsAll = agent.Host.Journal.WasThere;

    /// <summary>Looks at once, or again after the look that is under way.</summary>
    public void Soon() => wanted.TrySetResult();

    /// <summary>This agent has seen a guest end: whatever else it may not know, that one is gone.</summary>
    public void SawEnd(Guest guest) => ended.Add((guest.VmId, guest.Epoch + 1));

    /// <summary>Somebody asks for a look, and may vouch for it that nothing is there which is not found.</summary>
    public void Look(bool nothingUnknown)
    {
        knowsAll |= nothingUnknown;
        Soon();
    }

    public async Task RunAsync()
    {
        agent.Host.Journal.WasThere = true;
        while (true)
        {
            TaskCompletionSource next = new();
            wanted = next;
            bool answered = await TryLookAsync();
            agent.Cluster.Scheduler.After(answered ? Interval : Soonest, agent.Life, () => next.TrySetResult());
            await next.Task;
        }
    }

    private async Task<bool> TryLookAsync()
    {
        AgentJournal journal = agent.Host.Journal;
        foreach (string vmId in journal.VotedMachines.Where(vmId => !agent.IsBusyWith(vmId) && !agent.HasGuestOf(vmId)))
        {
            journal.ClearVote(vmId, journal.ReadVote(vmId)!.OperationId);
        }

        string host = agent.Host.Id;
        (bool answered, IReadOnlyList<string>? owned) = await agent.Cluster.Calls.CallAsync(
            agent.Node, TimeSpan.FromSeconds(2), policy => Task.FromResult(policy.Get<OperationDirectory>().OwnedBy(host)));
        foreach (string vmId in (owned ?? []).Concat(agent.OwnedGuests.Select(guest => guest.VmId)).Distinct(StringComparer.Ordinal).ToList())
        {
            answered = answered && await ReconcileAsync(vmId);
        }

        return answered;
    }

    private async Task<bool> ReconcileAsync(string vmId)
    {
        (bool answered, OwnershipView? view) = await agent.CallAsync(ownership => ownership.ReadAsync(vmId, CancellationToken.None));
        if (!answered)
        {
            return false;
        }

        List<Guest?> guests = [.. agent.OwnedGuests.Where(guest => guest.VmId == vmId)];
        foreach (Guest? guest in guests.Count == 0 ? [null] : guests)
        {
            answered &= await DecideAsync(vmId, guest, view!);
        }

        return answered;
    }

    private async Task<bool> DecideAsync(string vmId, Guest? guest, OwnershipView view)
    {
        (Guid?, int?, int)? tag = guest is null ? null : (guest.OperationId, guest.Replica, guest.Epoch);
        bool busy = agent.IsBusyWith(vmId) || (guest is null && agent.HasGuestOf(vmId));
        (ReconciliationAction action, Reason reason) = Reconciliation.Decide(new HostedMachine(agent.Host.Id, tag, busy, knowsAll || ended.Contains((vmId, view.Epoch))), view);
        if (action != ReconciliationAction.Nothing)
        {
            agent.Cluster.Trace?.Note($"{agent.Host.Id} reconciles {vmId}: {action} ({reason.Code})");
        }

        switch (action)
        {
            case ReconciliationAction.Destroy:
                agent.GuestGone(guest!);
                guest!.Become(null);
                break;
            case ReconciliationAction.Release:
                return (await agent.CallAsync(ownership => ownership.ReleaseAsync(vmId, new ReleaseOwnership(agent.Host.Id, view.Epoch, reason), CancellationToken.None))).Answered;
        }

        return true;
    }
}
