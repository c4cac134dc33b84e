using SpecMesh.Contracts;

namespace SpecMesh.Speculation.SpecOps;

/// <summary>What an operation decides: facts for its own event stream and for the machine's, and messages.</summary>
/// <param name="Events">Events for <c>specop-{OperationId}</c>.</param>
/// <param name="OwnershipEvents">Events for <c>vm-{VmId}</c>, appended in the same transaction at the version that the facts were read at.</param>
/// <param name="Effects">Messages.</param>
/// <param name="Conflict">Set when the same operation id came with other wishes: the request is refused, the operation goes on.</param>
public sealed record SpecOpDecision(
    IReadOnlyList<object> Events,
    IReadOnlyList<object> OwnershipEvents,
    IReadOnlyList<Effect> Effects,
    SpecOpRefused? Conflict = null)
{
    /// <summary>Nothing happens.</summary>
    public static SpecOpDecision Nothing { get; } = new([], [], []);
}

/// <summary>
/// One operation from its request to the last loser's clean-up. Every input may come twice, late or never: the state decides whether it still means anything.
/// </summary>
public static class SpecOpDecider
{
    /// <summary>Seconds after which a target that was told to prepare a shell has failed to; or a tenth of what its replica may take, if that is longer.</summary>
    public static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(20);

    /// <summary>What an operation gets beyond its replicas' own time.</summary>
    public static readonly TimeSpan OperationReserve = TimeSpan.FromSeconds(30);

    /// <summary>First pause before the clean-up is asked for again; it doubles up to <see cref="LongestCleanupPause"/>.</summary>
    public static readonly TimeSpan FirstCleanupPause = TimeSpan.FromSeconds(1);

    /// <summary>Longest pause between two requests for clean-up.</summary>
    public static readonly TimeSpan LongestCleanupPause = TimeSpan.FromSeconds(30);

    /// <summary>Decides about one message.</summary>
    /// <param name="state">The fold of the operation's event stream.</param>
    /// <param name="input">A contract record.</param>
    /// <param name="facts">The machine's ownership, and what else the decision needs.</param>
    /// <param name="now">The decider's time.</param>
    public static SpecOpDecision Decide(SpecOpState state, object input, SpecOpFacts facts, DateTimeOffset now)
    {
        SpecOpDraft draft = new(state, facts, now);
        if (state.Accepted is null)
        {
            return input is SubmitSpecOp submit ? SpecOpOpening.Submit(state, submit, facts, now) : Stray(state, input);
        }

        switch (input)
        {
            case SubmitSpecOp repeated: return SpecOpOpening.Submit(state, repeated, facts, now);
            case TargetsReserved reserved: SpecOpRace.Reserved(draft, reserved); break;
            case TargetsRefused refused: SpecOpRace.NoTargets(draft, refused); break;
            case ReplicaStarted started: SpecOpRace.Started(draft, started); break;
            case ReplicaRoundsReported report: SpecOpRace.Rounds(draft, report); break;
            case ReplicaReady ready: SpecOpRace.Ready(draft, ready); break;
            case ReplicaAborted aborted: SpecOpRace.Ended(draft, aborted.Replica, aborted.Epoch, aborted); break;
            case ReplicaFailed failed: SpecOpRace.Ended(draft, failed.Replica, failed.Epoch, failed); break;
            case ReplicaCancelled cancelled: SpecOpRace.Ended(draft, cancelled.Replica, cancelled.Epoch, cancelled); break;
            case ReplicaDeadline due: SpecOpRace.ReplicaDue(draft, due); break;
            case HedgeDeadline due: SpecOpHedging.Due(draft, due); break;
            case RetryDeadline due: SpecOpRace.Retry(draft, due); break;
            case OwnershipTransferred won: SpecOpEnding.Won(draft, won.Replica, won.HostId, won.Epoch); break;
            case CancelSpecOp cancel: SpecOpEnding.Cancel(draft, cancel); break;
            case SpecOpDeadline: SpecOpEnding.OutOfTime(draft); break;
            case ReplicaResumed resumed: SpecOpEnding.Resumed(draft, resumed); break;
            case WinnerLost lost: SpecOpEnding.Lost(draft, lost); break;
            case FenceOperation fence: SpecOpFencing.HostFenced(draft, fence); break;
            case ReplicaCleaned cleaned: SpecOpEnding.Cleaned(draft, cleaned); break;
            case SourceReleased released: SpecOpEnding.Released(draft, released); break;
            case CleanupDeadline due: SpecOpEnding.CleanUp(draft, due); break;
            default: throw new InvalidOperationException($"{input.GetType().Name} is nothing that an operation listens to.");
        }

        return draft.ToDecision();
    }

    /// <summary>A message for an operation that never started: whatever its sender holds for it is in vain. A cancel may have overtaken its request, and is remembered for it.</summary>
    private static SpecOpDecision Stray(SpecOpState state, object input) => input switch
    {
        TargetsReserved reserved => new SpecOpDecision([], [], [new Effect(new ReleaseTargets(state.OperationId, reserved.HostIds))]),
        CancelSpecOp cancel when state is { Phase: SpecOpPhase.None, IsCancelRequested: false } => new SpecOpDecision([new CancelRequested(state.OperationId, cancel.RequestedBy)], [], []),
        _ => SpecOpDecision.Nothing,
    };
}

/// <summary>A decision in the making: the state moves with every event, so that later steps of the same decision see it.</summary>
internal sealed class SpecOpDraft(SpecOpState state, SpecOpFacts facts, DateTimeOffset now)
{
    private readonly List<object> events = [];
    private readonly List<object> ownershipEvents = [];
    private readonly List<Effect> effects = [];

    public SpecOpState State { get; private set; } = state;

    public SpecOpFacts Facts { get; } = facts;

    public DateTimeOffset Now { get; } = now;

    public Guid OperationId => State.OperationId;

    /// <summary>What was accepted; only used after the operation was.</summary>
    public SpecOpAccepted Accepted => State.Accepted ?? throw new InvalidOperationException("The operation was not accepted.");

    public void Record(object @event)
    {
        events.Add(@event);
        State = SpecOpState.Evolve(State, @event);
    }

    public void RecordOwnership(IReadOnlyList<object> vmEvents) => ownershipEvents.AddRange(vmEvents);

    public void Publish(object message) => effects.Add(new Effect(message));

    public void Tell(string hostId, object message) => effects.Add(new Effect(message, hostId));

    public void Later(TimeSpan after, object message) => effects.Add(new Effect(message, null, Now + after));

    public SpecOpDecision ToDecision() => new(events, ownershipEvents, effects);
}
