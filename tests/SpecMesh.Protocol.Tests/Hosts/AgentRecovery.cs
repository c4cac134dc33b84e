using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Protocol.Tests.Hosts;

/// <summary>What an agent does before it takes a command, as the agent's own <c>Recover</c> does it: the production <see cref="Recovery"/> decides about each guest.</summary>
internal static class AgentRecovery
{
    private static readonly TimeSpan RetryPause = TimeSpan.FromSeconds(1);

    public static async Task RunAsync(Agent agent)
    {
        await agent.Life.Pause(agent.Cluster.Links.Delay());
        List<Guest> found = [.. agent.Host.Guests];
        agent.Host.Journal.ForgetAllBut(
            found.Select(guest => guest.VmId).ToHashSet(StringComparer.Ordinal),
            found.Select(guest => (guest.OperationId, guest.Replica)).ToHashSet());
        foreach (Guest guest in found)
        {
            if (!await SettleAsync(agent, guest, untilKept: true))
            {
                agent.GuestKept(guest);
                agent.Guard(SettleAsync(agent, guest, untilKept: false));
            }
        }
    }

    private static async Task<bool> SettleAsync(Agent agent, Guest guest, bool untilKept)
    {
        long? refusedAt = null;
        while (guest.State is not null)
        {
            if (await DecideAsync(agent, guest, refusedAt) is var (action, reason, view, refused))
            {
                refusedAt = refused;
                agent.Cluster.Trace?.Note($"{agent.Host.Id} finds {guest.VmId} {guest.State}: {action} ({reason.Code})");
                if (action != RecoveryAction.Keep)
                {
                    Act(agent, guest, action, reason, view);
                    return true;
                }

                if (untilKept)
                {
                    return TakeOverShell(agent, guest, action, reason, view);
                }
            }

            await agent.Life.Pause(RetryPause);
        }

        agent.GuestGone(guest);
        agent.Host.Journal.ClearImage(guest.OperationId, guest.Replica);
        if (agent.Host.Journal.ReadVote(guest.VmId) is { } vote && !agent.HasGuestOf(guest.VmId))
        {
            agent.Host.Journal.ClearVote(guest.VmId, vote.OperationId);
        }

        return true;
    }

    private static async Task<(RecoveryAction Action, Reason Reason, OwnershipView View, long? RefusedAt)?> DecideAsync(Agent agent, Guest guest, long? refusedAt)
    {
        (bool answered, OwnershipView? view) = await agent.CallAsync(ownership => ownership.ReadAsync(guest.VmId, CancellationToken.None));
        if (!answered || guest.State is null)
        {
            return null;
        }

        FoundGuest found = Describe(agent, guest) with { RefusedAt = refusedAt };
        (RecoveryAction action, Reason reason) = Recovery.Decide(found, view!);
        if (action == RecoveryAction.RefuseFirst)
        {
            Guid operation = found.Vote?.OperationId ?? view!.OpenOperationId ?? view.OwnerOperationId ?? Guid.Empty;
            RefuseTransfer refusal = new(operation, agent.Host.Id, view!.Epoch, view.Version, new Reason("source-restarted", "The source's agent was restarted while the guest stood still."));
            found = found with { RefusedAt = view.Version };
            (answered, OwnershipAnswer? answer) = await agent.CallAsync(ownership => ownership.RefuseAsync(guest.VmId, refusal, CancellationToken.None));
            if (!answered || guest.State is null)
            {
                return null;
            }

            view = answer!.View;
            (action, reason) = Recovery.Decide(found, view);
        }

        return (action == RecoveryAction.RefuseFirst ? RecoveryAction.Keep : action, reason, view!, found.RefusedAt);
    }

    private static FoundGuest Describe(Agent agent, Guest guest) => new(
        guest.VmId,
        agent.Host.Id,
        guest.State!.Value,
        (guest.OperationId, guest.Replica),
        guest.Epoch,
        agent.Host.Journal.ReadVote(guest.VmId),
        agent.Host.Journal.ReadImage(guest.OperationId, guest.Replica)?.OwnershipVersion,
        JournalWasThere: agent.Host.Journal.WasThere);

    private static void Act(Agent agent, Guest guest, RecoveryAction action, Reason reason, OwnershipView view)
    {
        if (TakeOverShell(agent, guest, action, reason, view))
        {
            return;
        }

        if (action == RecoveryAction.Destroy)
        {
            agent.GuestGone(guest);
            guest.Become(null);
        }
        else
        {
            if (guest.State is GuestState.Suspended or GuestState.Paused)
            {
                guest.Become(GuestState.Running);
            }

            agent.GuestOwned(guest);
            agent.Host.Journal.ClearImage(guest.OperationId, guest.Replica);
            agent.Tell(new ReplicaResumed(guest.OperationId, guest.Replica, agent.Host.Id, agent.Clock.GetUtcNow()), guest.Epoch);
        }

        if (agent.Host.Journal.ReadVote(guest.VmId) is { } vote)
        {
            agent.Host.Journal.ClearVote(guest.VmId, vote.OperationId);
        }
    }

    /// <summary>A shell that has never run goes on in its state machine.</summary>
    private static bool TakeOverShell(Agent agent, Guest guest, RecoveryAction action, Reason reason, OwnershipView view)
    {
        if (guest.State != GuestState.Paused)
        {
            return false;
        }

        KeptImage? image = agent.Host.Journal.ReadImage(guest.OperationId, guest.Replica);
        StartReplica command = image?.Command ?? new StartReplica(
            guest.OperationId, guest.Replica, guest.Epoch, OperationKind.Migrate, guest.VmId, agent.Host.Id, null, new VmDefinition(Cluster.MemoryBytes), view.Version, new CostLimits());
        TargetSide target = new(agent, command, guest);
        agent.TakeOver(target);
        target.Recover(action, reason, view, image);
        return true;
    }
}
