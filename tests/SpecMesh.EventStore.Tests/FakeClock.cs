namespace SpecMesh.EventStore.Tests;

/// <summary>A clock that stands still until a test moves it. Its timers are the system's.</summary>
internal sealed class FakeClock : TimeProvider
{
    private long ticks = new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero).AddTicks(1234567).Ticks;

    public override DateTimeOffset GetUtcNow() => new(Volatile.Read(ref ticks), TimeSpan.Zero);

    public void Advance(TimeSpan by) => Interlocked.Add(ref ticks, by.Ticks);
}
