namespace SpecMesh.Simulator.Experiments;

/// <summary><c>run</c>: one workload under several policies and shares of failed servers.</summary>
public static class RunCommand
{
    /// <summary>Runs, and writes <c>results.csv</c>, <c>runs.csv</c> and the workload's figures.</summary>
    /// <returns>The exit status: 0, or 64 when the command line is wrong.</returns>
    public static int Execute(IReadOnlyList<string> arguments)
    {
        if (RunArguments.Read(arguments, out IReadOnlyList<string> errors) is not { } asked)
        {
            foreach (string error in errors)
            {
                Console.Error.WriteLine(error);
            }

            return 64;
        }

        Directory.CreateDirectory(asked.Folder);
        IReadOnlyList<FinishedRun> runs = SweepRunner.Run([asked.Sweep], asked.Threads, new ProgressLine().Report);
        IReadOnlyList<ResultRow> rows = Results.Of(runs);
        ResultFiles.WriteResults(Path.Combine(asked.Folder, "results.csv"), rows);
        ResultFiles.WriteRuns(Path.Combine(asked.Folder, "runs.csv"), runs);
        return 0;
    }
}
