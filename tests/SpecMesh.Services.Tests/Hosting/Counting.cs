using System.Text.Json;
using SpecMesh.Hosting;

namespace SpecMesh.Services.Tests.Hosting;

/// <summary>Command of the tests' own saga.</summary>
public sealed record AddToCounter(Guid CounterId, int Amount);

/// <summary>Event: something was added.</summary>
public sealed record CounterIncreased(Guid CounterId, int Amount, int Total);

/// <summary>Message that leaves when something was added.</summary>
public sealed record CounterChanged(Guid CounterId, int Total);

/// <summary>Timer of a counter.</summary>
public sealed record CounterDeadline(Guid CounterId, int Total);

/// <summary>A message that is handled without a saga.</summary>
public sealed record NoteTaken(int Number, NoteKind Kind = NoteKind.Plain);

/// <summary>Travels by name.</summary>
public enum NoteKind
{
    Plain,
    Urgent,
}

/// <summary>State of a counter: the fold of its events.</summary>
public sealed record Counter(Guid Id, int Total)
{
    public static Type[] Types { get; } = [typeof(AddToCounter), typeof(CounterIncreased), typeof(CounterChanged), typeof(CounterDeadline), typeof(NoteTaken)];

    public static JsonSerializerOptions Json { get; } = NewJson();

    public static SagaDefinition<Counter> Definition { get; } = new("counters", "counter-", "counter", id => new Counter(id, 0), Evolve);

    public static Counter Evolve(Counter state, object stored) => stored switch
    {
        CounterIncreased increased => state with { Total = state.Total + increased.Amount },
        _ => throw new ArgumentOutOfRangeException(nameof(stored), stored, null),
    };

    private static JsonSerializerOptions NewJson()
    {
        JsonSerializerOptions json = new(JsonSerializerDefaults.General) { PropertyNamingPolicy = JsonNamingPolicy.CamelCase };
        json.Converters.Add(new System.Text.Json.Serialization.JsonStringEnumConverter(namingPolicy: null, allowIntegerValues: false));
        json.MakeReadOnly(populateMissingResolver: true);
        return json;
    }
}
