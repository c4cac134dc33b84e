using System.Text.Json;
using SpecMesh.Contracts;

namespace SpecMesh.Speculation.SpecOps;

/// <summary>What a recorded decision was taken from: it lies in the headers of the first event that the decision appended.</summary>
/// <param name="Input">Name of the input's contract record.</param>
/// <param name="Message">The input.</param>
/// <param name="Facts">What else was known.</param>
/// <param name="At">The decider's time.</param>
public sealed record DecidedFrom(string Input, JsonElement Message, SpecOpFacts Facts, DateTimeOffset At)
{
    /// <summary>The record of one decision's input.</summary>
    public static DecidedFrom Of(object message, SpecOpFacts facts, DateTimeOffset at) =>
        new(message.GetType().Name, JsonSerializer.SerializeToElement(message, message.GetType(), ContractJson.Options), facts, at);
}

/// <summary>One event of a recorded operation.</summary>
/// <param name="Event">The contract record.</param>
/// <param name="From">Set on the first event of each append.</param>
public sealed record RecordedEvent(object Event, DecidedFrom? From);

/// <summary>Takes every decision of a recorded operation again, with the code that runs now.</summary>
public static class Redecision
{
    private static readonly Dictionary<string, Type> Inputs = ContractCatalogue.All.ToDictionary(type => type.Name, StringComparer.Ordinal);

    /// <summary>The first place where a decision would be another one today; null when the event stream is reproduced event by event.</summary>
    /// <param name="operationId">The operation.</param>
    /// <param name="recorded">Its event stream from the first event on.</param>
    public static string? FirstDifference(Guid operationId, IReadOnlyList<RecordedEvent> recorded)
    {
        SpecOpState state = new(operationId);
        int next = 0;
        while (next < recorded.Count)
        {
            if (recorded[next].From is not { } from)
            {
                return $"Event {next + 1} ({recorded[next].Event.GetType().Name}) does not say what it was decided from.";
            }

            if (!Inputs.TryGetValue(from.Input, out Type? type))
            {
                return $"Event {next + 1} was decided from {from.Input}, which is no contract.";
            }

            object input = from.Message.Deserialize(type, ContractJson.Options) ?? throw new JsonException($"The input of event {next + 1} is the JSON null.");
            SpecOpDecision decision = SpecOpDecider.Decide(state, input, from.Facts, from.At);
            if (decision.Events.Count == 0)
            {
                return $"Event {next + 1}: {from.Input} decides nothing today.";
            }

            foreach (object decided in decision.Events)
            {
                string was = next < recorded.Count ? Describe(recorded[next].Event) : "nothing";
                if (was != Describe(decided))
                {
                    return $"Event {next + 1}: recorded was {was}, {from.Input} gives {Describe(decided)} today.";
                }

                state = SpecOpState.Evolve(state, decided);
                next++;
            }
        }

        return null;
    }

    private static string Describe(object @event) => $"{@event.GetType().Name} {JsonSerializer.Serialize(@event, @event.GetType(), ContractJson.Options)}";
}
