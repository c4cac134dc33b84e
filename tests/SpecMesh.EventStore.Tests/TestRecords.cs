using SpecMesh.Contracts;

namespace SpecMesh.EventStore.Tests;

public enum Colour
{
    Red,
    DeepBlue,
}

/// <summary>A record with every kind of member that contracts have.</summary>
public sealed record EverythingHappened(
    string Text,
    int Number,
    long Long,
    ulong Unsigned,
    double Ratio,
    decimal Amount,
    bool Flag,
    Guid Id,
    DateTimeOffset At,
    TimeSpan Took,
    Colour Colour,
    int? Absent,
    string? Nothing,
    IReadOnlyList<string> List,
    Inner Inner);

public sealed record Inner(string Name, IReadOnlyList<int> Numbers);

public sealed record Counted(int Value);

public sealed record Reminder(int Value);

/// <summary>Known to nobody who reads.</summary>
public sealed record Forgotten(string Word);

internal static class Records
{
    public static EventTypes Types { get; } = new(
        [typeof(EverythingHappened), typeof(Counted), typeof(Reminder), .. ContractCatalogue.StoredEvents], ContractJson.Options);

    public static EventTypes WithForgotten { get; } = new([typeof(Forgotten)], ContractJson.Options);

    public static EverythingHappened Everything { get; } = new(
        "Ünï \"quoted\" \\u0000 \n ok 🦊",
        -7,
        long.MaxValue,
        ulong.MaxValue,
        1e-7,
        12345678901234567890.123456789m,
        true,
        Guid.Parse("11111111-2222-4333-8444-555555555555"),
        new DateTimeOffset(2026, 3, 4, 5, 6, 7, TimeSpan.FromHours(-5)).AddTicks(1234567),
        TimeSpan.FromTicks(123456789),
        Colour.DeepBlue,
        null,
        null,
        ["a", "", "ß"],
        new Inner("inner", [1, 2, 3]));
}
