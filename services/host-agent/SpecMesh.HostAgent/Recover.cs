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
        foreach (IGuest guest in await agent.Hypervisor.FindGuestsAsync(cancellationToken))
        {
            while (!await TryAsync(agent, guest, cancellationToken))
            {
                await Task.Delay(RetryPause, agent.Time, cancellationToken);
            }
        }
    }

    /// <summary>False when the ownership event stream did not answer: nothing was touched.</summary>
    private static async Task<bool> TryAsync(Agent agent, IGuest guest, CancellationToken cancellationToken)
    {
        GuestTag tag = guest.Tag;
        try
        {
            JournaledVote? vote = agent.Journal.ReadVote(tag.VmId);
            OwnershipView view = await agent.OwnershipLog.ReadAsync(tag.VmId, cancellationToken);
            (RecoveryAction action, Reason reason) = Recovery.Decide(Describe(agent, guest, vote), view);
            if (action == RecoveryAction.RefuseFirst)
            {
                Reason why = new("source-restarted", "The source's agent was restarted after its vote.");
                await agent.OwnershipLog.RefuseAsync(
                    tag.VmId, new RefuseTransfer(vote!.OperationId, agent.Options.HostId, vote.Epoch, vote.OwnershipVersion, why), cancellationToken);
                return false;
            }

            await ActAsync(agent, guest, action, cancellationToken);
            agent.Logger.Recovered(tag.VmId, action, reason.Detail);
            return true;
        }
        catch (HttpRequestException error)
        {
            agent.Logger.OwnershipUnanswered(tag.VmId, error);
            return false;
        }
        catch (TaskCanceledException error) when (!cancellationToken.IsCancellationRequested)
        {
            agent.Logger.OwnershipUnanswered(tag.VmId, error);
            return false;
        }
    }

    private static FoundGuest Describe(Agent agent, IGuest guest, JournaledVote? vote)
    {
        GuestTag tag = guest.Tag;
        (Guid, int)? shell = tag is { OperationId: { } operation, Replica: { } replica } ? (operation, replica) : null;
        return new FoundGuest(tag.VmId, agent.Options.HostId, guest.State ?? GuestState.Paused, shell, tag.Epoch, vote);
    }

    private static async Task ActAsync(Agent agent, IGuest guest, RecoveryAction action, CancellationToken cancellationToken)
    {
        switch (action)
        {
            case RecoveryAction.Adopt:
                Own(agent, guest);
                break;
            case RecoveryAction.Resume:
                await (guest.State == GuestState.Suspended ? guest.ResumeAsync(cancellationToken) : guest.StartAsync(cancellationToken));
                Own(agent, guest);
                break;
            case RecoveryAction.Keep:
                // Its migration stream ended with the agent that received it. The image may be the only whole one left, so the shell waits, paused, for the decision.
                _ = WaitForDecisionAsync(agent, guest, cancellationToken);
                break;
            default:
                await guest.DestroyAsync(cancellationToken);
                break;
        }
    }

    private static async Task WaitForDecisionAsync(Agent agent, IGuest guest, CancellationToken cancellationToken)
    {
        try
        {
            do
            {
                await Task.Delay(RetryPause, agent.Time, cancellationToken);
            }
            while (!await TryAsync(agent, guest, cancellationToken));
        }
        catch (OperationCanceledException)
        {
            await guest.DisposeAsync();
        }
        catch (HypervisorException error)
        {
            agent.Logger.OwnedGuestNotStarted(guest.Tag.VmId, error);
        }
    }

    private static void Own(Agent agent, IGuest guest)
    {
        agent.Journal.ClearVote(guest.Tag.VmId);
        agent.GuestOwned(guest.Tag.VmId, guest);
    }
}
