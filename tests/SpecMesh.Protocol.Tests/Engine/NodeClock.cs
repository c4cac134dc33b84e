namespace SpecMesh.Protocol.Tests.Engine;

/// <summary>A machine of the cluster: what partitions cut off and what has a clock of its own.</summary>
/// <param name="Index">Its place in the network's tables.</param>
/// <param name="Name">Its name in the trace.</param>
internal sealed record Node(int Index, string Name)
{
    /// <summary>How far its clock is from the true time.</summary>
    public TimeSpan ClockOffset { get; set; }
}

/// <summary>The clock that a process sees: its machine's wall clock, which can jump, and a monotonic one, which cannot. Its timers end with the process.</summary>
internal sealed class NodeClock(Scheduler scheduler, Node node, Life life) : TimeProvider
{
    public static readonly DateTimeOffset Start = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override DateTimeOffset GetUtcNow() => Start + scheduler.Now + node.ClockOffset;

    public override long GetTimestamp() => scheduler.Ticks;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) => new Timer(scheduler, life, callback, state, dueTime, period);

    private sealed class Timer : ITimer
    {
        private readonly Scheduler scheduler;
        private readonly Life life;
        private readonly TimerCallback callback;
        private readonly object? state;
        private TimeSpan period;
        private int armed;

        public Timer(Scheduler scheduler, Life life, TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            (this.scheduler, this.life, this.callback, this.state) = (scheduler, life, callback, state);
            Change(dueTime, period);
        }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            this.period = period;
            Arm(dueTime);
            return true;
        }

        public void Dispose() => armed++;

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }

        private void Arm(TimeSpan pause)
        {
            int mine = ++armed;
            if (pause == Timeout.InfiniteTimeSpan)
            {
                return;
            }

            scheduler.After(pause, life, () =>
            {
                if (mine == armed)
                {
                    if (period > TimeSpan.Zero)
                    {
                        Arm(period);
                    }

                    callback(state);
                }
            });
        }
    }
}
