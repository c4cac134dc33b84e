using System.Globalization;

namespace SpecMesh.EventStore;

/// <summary>Times as both stores keep them: UTC, in whole microseconds, which is what PostgreSQL's timestamptz holds. So a time reads back exactly as it was written.</summary>
internal static class StoredTime
{
    private const string Format = "yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'";

    /// <summary>The clock's time, rounded down.</summary>
    public static DateTimeOffset Now(TimeProvider clock) => Floor(clock.GetUtcNow());

    /// <summary>A due time, rounded up: nothing leaves before it is due.</summary>
    public static DateTimeOffset NotBefore(DateTimeOffset due)
    {
        DateTimeOffset floor = Floor(due);
        return floor == due ? floor : floor.AddMicroseconds(1);
    }

    /// <summary>Fixed-width ISO 8601, so that texts sort as the times do.</summary>
    public static string ToText(DateTimeOffset time) => time.UtcDateTime.ToString(Format, CultureInfo.InvariantCulture);

    /// <summary>The time in a text that <see cref="ToText"/> wrote.</summary>
    public static DateTimeOffset FromText(string text) =>
        DateTimeOffset.ParseExact(text, Format, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal);

    private static DateTimeOffset Floor(DateTimeOffset time) => new(time.UtcTicks - (time.UtcTicks % TimeSpan.TicksPerMicrosecond), TimeSpan.Zero);
}
