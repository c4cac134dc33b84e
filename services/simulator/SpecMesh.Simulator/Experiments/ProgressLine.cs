using System.Diagnostics;
using System.Globalization;

namespace SpecMesh.Simulator.Experiments;

/// <summary>One line on a terminal that says how far the runs are and how long they still take. Nothing is written when no terminal reads it.</summary>
public sealed class ProgressLine
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(200);

    private readonly Stopwatch elapsed = Stopwatch.StartNew();
    private readonly Lock gate = new();
    private TimeSpan shownAt;

    /// <summary>A run has ended.</summary>
    public void Report(int done, int all)
    {
        if (Console.IsErrorRedirected)
        {
            return;
        }

        lock (gate)
        {
            TimeSpan now = elapsed.Elapsed;
            if (done < all && now - shownAt < Pause)
            {
                return;
            }

            shownAt = now;
            TimeSpan left = now * ((all - done) / (double)done);
            Console.Error.Write(string.Create(CultureInfo.InvariantCulture, $"\r{done} of {all} runs, {now:mm\\:ss} gone, {left:mm\\:ss} left   {(done == all ? "\n" : "")}"));
        }
    }
}
