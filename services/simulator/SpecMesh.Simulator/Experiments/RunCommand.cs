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

        RunAndWrite([asked.Sweep], asked.Folder, asked.Threads);
        return 0;
    }

    /// <summary>Runs sweeps, and writes their rows, their runs and their figures.</summary>
    public static void RunAndWrite(IReadOnlyList<Sweep> sweeps, string folder, int threads)
    {
        Directory.CreateDirectory(folder);
        IReadOnlyList<FinishedRun> runs = SweepRunner.Run(sweeps, threads, new ProgressLine().Report);
        IReadOnlyList<ResultRow> rows = Results.Of(runs);
        ResultFiles.WriteResults(Path.Combine(folder, "results.csv"), rows);
        ResultFiles.WriteRuns(Path.Combine(folder, "runs.csv"), runs);
        Figures.Write(folder, sweeps, rows);
    }
}
