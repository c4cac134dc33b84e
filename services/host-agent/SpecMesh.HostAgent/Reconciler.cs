using System.Threading.Channels;
using SpecMesh.Contracts;
using SpecMesh.Hypervisors;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.HostAgent;

/// <summary>
/// Compares the guests on the host with the event streams, soon after a guest has ended and every <see cref="Interval"/>, as <see cref="Reconciliation"/> says.
/// The event stream is read first and the host is looked at after it, so that a guest that begins to run meanwhile is not missed.
/// </summary>
internal sealed class Reconciler(Agent agent)
{
    /// <summary>Longest time that a host differs from the event streams unnoticed while it can read them.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(15);

    private readonly Channel<bool> wanted = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly Latest<(string VmId, int Epoch), bool> ended = new(10_000);
    private volatile bool knowsAll = agent.Journal.WasThere;

    /// <summary>Looks at once, or again after the look that is under way.</summary>
    public void Soon() => wanted.Writer.TryWrite(true);

    /// <summary>This agent has seen an owned guest end: whatever else it may not know, that one is gone.</summary>
    public void SawEnd(GuestTag tag) => ended.Add((tag.VmId, tag.Epoch + 1), true);

    /// <summary>An operator vouches for it that no guest runs here which the agent does not find.</summary>
    public void TrustWhatIsFound() => knowsAll = true;

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            bool answered = await TryLookAsync(cancellationToken);
            using CancellationTokenSource turn = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            using ITimer timer = agent.Time.CreateTimer(_ => Soon(), null, answered ? Interval : TimeSpan.FromSeconds(2), Timeout.InfiniteTimeSpan);
            await wanted.Reader.ReadAsync(turn.Token);
        }
    }

    /// <summary>False when the event streams could not be read: nothing is done then about what could not be compared.</summary>
    private async Task<bool> TryLookAsync(CancellationToken cancellationToken)
    {
        string current = "";
        try
        {
            ForgetVotesWithoutGuest();
            using CancellationTokenSource limit = Agent.LimitCall(cancellationToken);
            IReadOnlyList<string> owned = await agent.OwnershipLog.OwnedByAsync(agent.Options.HostId, limit.Token);
            foreach (string vmId in owned.Concat(agent.OwnedGuests.Select(guest => guest.Tag.VmId)).Distinct(StringComparer.Ordinal))
            {
                current = vmId;
                await ReconcileAsync(vmId, cancellationToken);
            }

            return true;
        }
        catch (Exception error) when (!cancellationToken.IsCancellationRequested)
        {
            agent.Logger.NotReconciled(current, error);
            return false;
        }
    }

    /// <summary>A guest that was voted away may have died, and then nobody else is left to forget its vote: without a guest a vote says nothing.</summary>
    private void ForgetVotesWithoutGuest()
    {
        foreach (string vmId in agent.Journal.VotedMachines)
        {
            if (agent.Journal.ReadVote(vmId) is { } vote && !agent.IsBusyWith(vmId) && !agent.HasGuestOf(vmId))
            {
                agent.TryClearVote(vmId, vote.OperationId);
            }
        }
    }

    private async Task ReconcileAsync(string vmId, CancellationToken cancellationToken)
    {
        using CancellationTokenSource limit = Agent.LimitCall(cancellationToken);
        OwnershipView view = await agent.OwnershipLog.ReadAsync(vmId, limit.Token);
        IReadOnlyList<IGuest> guests = [.. agent.OwnedGuests.Where(guest => guest.Tag.VmId == vmId)];
        if (guests.Count == 0)
        {
            await DecideAsync(vmId, null, view, limit.Token);
        }

        foreach (IGuest guest in guests)
        {
            await DecideAsync(vmId, guest, view, limit.Token);
        }
    }

    private async Task DecideAsync(string vmId, IGuest? guest, OwnershipView view, CancellationToken cancellationToken)
    {
        (Guid?, int?, int)? tag = guest is null ? null : (guest.Tag.OperationId, guest.Tag.Replica, guest.Tag.Epoch);
        bool busy = agent.IsBusyWith(vmId) || (guest is null && agent.HasGuestOf(vmId));
        (ReconciliationAction action, Reason reason) = Reconciliation.Decide(new HostedMachine(agent.Options.HostId, tag, busy, knowsAll || ended.TryGet((vmId, view.Epoch), out _)), view);
        switch (action)
        {
            case ReconciliationAction.Destroy:
                agent.Logger.PastGuestDestroyed(vmId, reason.Detail);
                agent.GuestGone(guest!);
                await guest!.DestroyAsync(cancellationToken);
                break;
            case ReconciliationAction.Release:
                OwnershipAnswer answer = await agent.OwnershipLog.ReleaseAsync(vmId, new ReleaseOwnership(agent.Options.HostId, view.Epoch, reason), cancellationToken);
                agent.Logger.OwnershipReleased(vmId, answer.Accepted ? reason.Detail : answer.Reason!.Detail);
                break;
            case ReconciliationAction.Unknown:
                agent.Logger.GuestUnknown(vmId, reason.Detail);
                break;
        }
    }
}
