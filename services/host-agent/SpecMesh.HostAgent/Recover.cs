using SpecMesh.Contracts;
using SpecMesh.Hypervisors;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.HostAgent;

/// <summary>
/// Before an agent listens to any command it looks for guests that live on its host, reads its journal and the ownership event streams, and does with each guest what these say.
/// </summary>
internal static class Recover
{
    private static readonly TimeSpan RetryPause = TimeSpan.FromSeconds(1);

    public static async Task RunAsync(Agent agent, CancellationToken cancellationToken)
    {
        IReadOnlyList<IGuest> found = await agent.Hypervisor.FindGuestsAsync(cancellationToken);
        agent.Journal.ForgetAllBut(
            found.Select(guest => guest.Tag.VmId).ToHashSet(StringComparer.Ordinal),
            found.Select(guest => guest.Tag).Where(tag => tag is { OperationId: not null, Replica: not null }).Select(tag => (tag.OperationId!.Value, tag.Replica!.Value)).ToHashSet());
        foreach (IGuest guest in found)
        {
            if (!await SettleAsync(agent, guest, untilKept: true, cancellationToken))
            {
                agent.GuestKept(guest);
                _ = WaitForAWordAsync(agent, guest, cancellationToken);
            }
        }
    }

    /// <summary>Decides about a guest and does it, again and again while the event stream does not answer.</summary>
    /// <param name="agent">The agent.</param>
    /// <param name="guest">The guest.</param>
    /// <param name="untilKept">True: returns when the guest is to be left as it is. False: goes on asking.</param>
    /// <param name="cancellationToken">Ends the wait; the guest stays as it is.</param>
    /// <returns>False when the guest is to be left as it is.</returns>
    private static async Task<bool> SettleAsync(Agent agent, IGuest guest, bool untilKept, CancellationToken cancellationToken)
    {
        long? refusedAt = null;
        while (guest.State is not null)
        {
            if (await DecideAsync(agent, guest, refusedAt, cancellationToken) is var (action, reason, view, refused))
            {
                refusedAt = refused;
                if (action != RecoveryAction.Keep && await TryActAsync(agent, guest, action, reason, view, cancellationToken))
                {
                    agent.Logger.Recovered(guest.Tag.VmId, action, reason.Detail);
                    return true;
                }

                if (action == RecoveryAction.Keep && untilKept)
                {
                    agent.Logger.Recovered(guest.Tag.VmId, action, reason.Detail);
                    return TakeOverShell(agent, guest, action, reason, view);
                }
            }

            await Task.Delay(RetryPause, agent.Time, cancellationToken);
        }

        // It ended meanwhile; what it left goes too, in the journal as well.
        await guest.DestroyAsync(cancellationToken);
        agent.GuestGone(guest);
        Forget(agent, guest.Tag);
        return true;
    }

    /// <summary>What the event stream says is to be done; a vote that is out is refused first. Null when the event stream does not answer: then nothing is touched.</summary>
    private static async Task<(RecoveryAction Action, Reason Reason, OwnershipView View, long? RefusedAt)?> DecideAsync(
        Agent agent, IGuest guest, long? refusedAt, CancellationToken cancellationToken)
    {
        string vmId = guest.Tag.VmId;
        try
        {
            using CancellationTokenSource limit = Agent.LimitCall(cancellationToken);
            OwnershipView view = await agent.OwnershipLog.ReadAsync(vmId, limit.Token);
            FoundGuest found = Describe(agent, guest) with { RefusedAt = refusedAt };
            (RecoveryAction action, Reason reason) = Recovery.Decide(found, view);
            if (action == RecoveryAction.RefuseFirst)
            {
                Reason why = new("source-restarted", "The source's agent was restarted while the guest stood still.");
                Guid operation = found.Vote?.OperationId ?? view.OpenOperationId ?? view.OwnerOperationId ?? Guid.Empty;
                RefuseTransfer refusal = new(operation, agent.Options.HostId, view.Epoch, view.Version, why);
                found = found with { RefusedAt = view.Version };
                view = (await agent.OwnershipLog.RefuseAsync(vmId, refusal, limit.Token)).View;
                (action, reason) = Recovery.Decide(found, view);
            }

            // A guest that can neither be taken back nor given up, as with a database that was set back, is for an operator; other guests need not wait for that.
            return (action == RecoveryAction.RefuseFirst ? RecoveryAction.Keep : action, reason, view, found.RefusedAt);
        }
        catch (Exception error) when (!cancellationToken.IsCancellationRequested)
        {
            agent.Logger.OwnershipUnanswered(vmId, error);
            return null;
        }
    }

    private static FoundGuest Describe(Agent agent, IGuest guest)
    {
        GuestTag tag = guest.Tag;
        (Guid OperationId, int Replica)? shell = tag is { OperationId: { } operation, Replica: { } replica } ? (operation, replica) : null;
        long? image = shell is { } holder ? agent.Journal.ReadImage(holder.OperationId, holder.Replica)?.OwnershipVersion : null;
        return new FoundGuest(tag.VmId, agent.Options.HostId, guest.State ?? GuestState.Paused, shell, tag.Epoch, agent.Journal.ReadVote(tag.VmId), image, JournalWasThere: agent.Journal.WasThere);
    }

    private static async Task<bool> TryActAsync(Agent agent, IGuest guest, RecoveryAction action, Reason reason, OwnershipView view, CancellationToken cancellationToken)
    {
        try
        {
            if (TakeOverShell(agent, guest, action, reason, view))
            {
                return true;
            }

            if (action == RecoveryAction.Destroy)
            {
                await guest.DestroyAsync(cancellationToken);
                agent.GuestGone(guest);
            }
            else
            {
                await Resume(agent, guest, view, cancellationToken);
                agent.GuestOwned(guest);
                Announce(agent, guest.Tag);
            }

            if (agent.Journal.ReadVote(guest.Tag.VmId) is { } vote)
            {
                agent.TryClearVote(guest.Tag.VmId, vote.OperationId);
            }

            return true;
        }
        catch (HypervisorException error)
        {
            agent.Logger.RecoveryRepeated(guest.Tag.VmId, error);
            return false;
        }
    }

    private static Task Resume(Agent agent, IGuest guest, OwnershipView view, CancellationToken cancellationToken) => guest.State switch
    {
        GuestState.Suspended => guest.ResumeAsync(cancellationToken),
        GuestState.Paused => guest.StartAsync(DurableCommit.Of(view, agent.Options.HostId), cancellationToken),
        _ => Task.CompletedTask,
    };

    /// <summary>The earlier agent may have ended between the guest's start and its report. An operation that has heard it ignores it.</summary>
    private static void Announce(Agent agent, GuestTag tag)
    {
        if (tag is { OperationId: { } operation, Replica: { } replica })
        {
            agent.TryClearImage(operation, replica);
            agent.Tell(new ReplicaResumed(operation, replica, agent.Options.HostId, agent.Time.GetUtcNow()), tag.Epoch);
        }
    }

    private static void Forget(Agent agent, GuestTag tag)
    {
        if (tag is { OperationId: { } operation, Replica: { } replica })
        {
            agent.TryClearImage(operation, replica);
        }

        if (agent.Journal.ReadVote(tag.VmId) is { } vote && !agent.HasGuestOf(tag.VmId))
        {
            agent.TryClearVote(tag.VmId, vote.OperationId);
        }
    }

    /// <summary>A shell that has never run goes on in its state machine, which answers commands and asks the event stream. False for any other guest.</summary>
    private static bool TakeOverShell(Agent agent, IGuest guest, RecoveryAction action, Reason reason, OwnershipView view)
    {
        if (guest is not { State: GuestState.Paused, Tag: { OperationId: { } operation, Replica: { } number } tag })
        {
            return false;
        }

        JournaledImage? image = agent.Journal.ReadImage(operation, number);
        StartReplica command = image?.Command ?? new StartReplica(
            operation, number, tag.Epoch, OperationKind.Migrate, tag.VmId, agent.Options.HostId, null, new VmDefinition(guest.MemoryBytes), view.Version, new CostLimits());
        agent.TakeOver(new TargetReplica(agent, command, guest), replica => replica.Recover(action, reason, view, image));
        return true;
    }

    private static async Task WaitForAWordAsync(Agent agent, IGuest guest, CancellationToken cancellationToken)
    {
        try
        {
            await SettleAsync(agent, guest, untilKept: false, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            // The agent stops; it lets go of the guest together with the others.
            agent.Logger.Stopping(agent.Options.HostId);
        }
        catch (Exception error)
        {
            agent.Logger.RecoveryRepeated(guest.Tag.VmId, error);
        }
    }
}
