using SpecMesh.Simulator.Workloads;

namespace SpecMesh.Simulator.Experiments;

/// <summary><c>figures</c>: every figure of the evaluation with the settings of a release.</summary>
public static class FiguresCommand
{
    private const int Seeds = 20;
    private static readonly double[] FailedShares = [0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5];
    private static readonly string[] Policies = ["naive", "sq1", "sq2", "sq3", "sq5", "adaptive"];

    /// <summary>Runs all workloads, and CI launch twice more without any variance of the boot time, which is what replicas gain most from when nothing fails.</summary>
    /// <param name="arguments"><c>--out DIR</c>, by default <c>figures</c>; <c>--seeds N</c> for a quicker look.</param>
    /// <returns>The exit status.</returns>
    public static int Execute(IReadOnlyList<string> arguments)
    {
        if (!TryRead(arguments, out string folder, out int seeds))
        {
            Console.Error.WriteLine("usage: figures [--out DIR] [--seeds N]");
            return 64;
        }

        Sweep Of(string label, Workload workload, Parameters parameters) => new(
            label, workload, 1024, FailedShares, [.. Policies.Select(name => PolicyChoice.Read(name)!)], [.. Enumerable.Range(1, seeds).Select(seed => (ulong)seed)], parameters);
        Sweep[] sweeps =
        [
            Of("upgrade", Workload.Upgrade, Parameters.Default),
            Of("ci", Workload.Ci, Parameters.Default),
            Of("ci-constant-boot", Workload.Ci, Parameters.Default with { BootSigma = 0 }),
            Of("ci-constant-boot-scan-300", Workload.Ci, Parameters.Default with { BootSigma = 0, ScanSeconds = 300 }),
            Of("capacity", Workload.Capacity, Parameters.Default),
        ];
        RunCommand.RunAndWrite(sweeps, folder, Environment.ProcessorCount);
        return 0;
    }

    private static bool TryRead(IReadOnlyList<string> arguments, out string folder, out int seeds)
    {
        folder = "figures";
        seeds = Seeds;
        for (int i = 0; i + 1 < arguments.Count; i += 2)
        {
            switch (arguments[i])
            {
                case "--out": folder = arguments[i + 1]; break;
                case "--seeds" when int.TryParse(arguments[i + 1], out seeds) && seeds > 0: break;
                default: return false;
            }
        }

        return arguments.Count % 2 == 0;
    }
}
