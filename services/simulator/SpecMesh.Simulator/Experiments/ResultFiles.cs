using System.Globalization;
using System.Text;

namespace SpecMesh.Simulator.Experiments;

/// <summary>Writes what a sweep measured as text that other programs read.</summary>
public static class ResultFiles
{
    /// <summary><c>workload,policy,failed,metric,mean,ci95,seeds</c>: one line per row.</summary>
    public static void WriteResults(string path, IEnumerable<ResultRow> rows)
    {
        StringBuilder text = new("workload,policy,failed,metric,mean,ci95,seeds\n");
        foreach (ResultRow row in rows)
        {
            text.Append(CultureInfo.InvariantCulture, $"{row.Label},{row.Policy},{row.FailedShare},{row.Metric},{Number(row.Value.Mean)},{Number(row.Value.Ci95)},{row.Value.Seeds}\n");
        }

        File.WriteAllText(path, text.ToString());
    }

    /// <summary><c>workload,policy,failed,seed,metric,value</c>: what every single run measured, with the hash of its events.</summary>
    public static void WriteRuns(string path, IEnumerable<FinishedRun> runs)
    {
        StringBuilder text = new("workload,policy,failed,seed,metric,value\n");
        foreach (FinishedRun run in runs)
        {
            string head = string.Create(CultureInfo.InvariantCulture, $"{run.Run.Sweep.Label},{run.Run.Options.Policy.Name},{run.Run.Options.FailedShare},{run.Run.Options.Seed}");
            foreach ((string metric, double value) in run.Result.Values)
            {
                text.Append(CultureInfo.InvariantCulture, $"{head},{metric},{Number(value)}\n");
            }

            text.Append(CultureInfo.InvariantCulture, $"{head},events,{run.Result.Events}\n{head},trace_hash,{run.Result.TraceHash:x16}\n");
        }

        File.WriteAllText(path, text.ToString());
    }

    /// <summary>Eight significant digits: far below every interval, and the same text on every system.</summary>
    private static string Number(double value) => value.ToString("G8", CultureInfo.InvariantCulture);
}
