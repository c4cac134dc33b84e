namespace SpecMesh.Speculation;

/// <summary>A message that leaves once the decision's events are durable.</summary>
/// <param name="Message">A contract record.</param>
/// <param name="HostId">The host agent that receives it; null: whoever listens for this type.</param>
/// <param name="DueAt">When it leaves; null: at once. Its receiver's state decides whether it still acts, and one that never will again may be taken back.</param>
public sealed record Effect(object Message, string? HostId = null, DateTimeOffset? DueAt = null);

/// <summary>What a decider decided: facts to record, and messages that follow from them.</summary>
/// <param name="Events">Records to append to the decider's own event stream, in order. Each carries its reason where there is one.</param>
/// <param name="Effects">Messages that leave through the outbox, in order.</param>
public sealed record Decision(IReadOnlyList<object> Events, IReadOnlyList<Effect> Effects)
{
    /// <summary>Nothing happens: the input was a repetition, or came too late to matter.</summary>
    public static Decision Nothing { get; } = new([], []);
}
