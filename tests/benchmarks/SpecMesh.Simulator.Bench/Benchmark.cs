using System.Globalization;
using SpecMesh.Simulator.Bench.Models;

namespace SpecMesh.Simulator.Bench;

/// <summary>The queue alone, the simulator's own model, then whole simulations on all engines in turns, so that a busy minute of the machine meets them all.</summary>
internal static class Benchmark
{
    /// <summary>Names of the models, as the peers know them.</summary>
    public const string Queue = "queue", Launches = "launches";

    private const int Servers = 1024;
    private const int SegmentsOfRound = 3;

    private static readonly int[] Sizes = [1_000, 10_000, 100_000, 1_000_000];

    public static BenchResult Run(int rounds)
    {
        double load = double.Parse(File.ReadAllText("/proc/loadavg").Split(' ')[0], CultureInfo.InvariantCulture);
        string processor = File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(": ")[1] ?? "unknown";
        List<string> skipped = [];
        DirectoryInfo folder = Directory.CreateTempSubdirectory("specmesh-bench-");
        try
        {
            IReadOnlyList<HoldFigure> hold = MeasureHold(rounds);
            return new BenchResult(processor, load, hold, WholeModel.Measure(rounds), MeasureModels(rounds, Peer.Find(folder.FullName, skipped)), skipped);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static List<HoldFigure> MeasureHold(int rounds)
    {
        List<HoldFigure> figures = [];
        foreach (int pending in Sizes)
        {
            HoldModel[] models = [.. HoldModel.Increments.Select(increments => new HoldModel(increments.Seconds, pending))];
            double[] best = [.. models.Select(_ => double.MaxValue)];
            // The first segments are not counted: they bring the queue to its size.
            for (int segment = 0; segment < (rounds * 2) + 1; segment++)
            {
                for (int i = 0; i < models.Length; i++)
                {
                    double ns = CpuTime.NsEach(models[i].Segment);
                    best[i] = segment == 0 ? best[i] : Math.Min(best[i], ns);
                }
            }

            figures.AddRange(best.Select((ns, i) => new HoldFigure(HoldModel.Increments[i].Name, pending, ns, 1e3 / ns, ns / best[0])));
        }

        return figures;
    }

    private static List<ModelFigures> MeasureModels(int rounds, IReadOnlyList<Peer> peers)
    {
        MultiServerQueue queue = new(Servers, load: 0.9, seed: 1);
        Launches launches = new(Servers, seed: 1);
        Dictionary<string, List<EngineFigure>> figures = new() { [Queue] = [], [Launches] = [] };
        for (int round = 0; round < rounds; round++)
        {
            for (int segment = 0; segment < SegmentsOfRound; segment++)
            {
                double ns = CpuTime.NsEach(() => queue.Run(2_000_000).Events);
                figures[Queue].Add(new EngineFigure("SpecMesh", 1e3 / ns, ns, queue.MeanWaitS));
                ns = CpuTime.NsEach(() => launches.Run(1_000_000).Events);
                figures[Launches].Add(new EngineFigure("SpecMesh", 1e3 / ns, ns, launches.Attempts / 1e6));
            }

            foreach (Peer peer in peers)
            {
                figures[Queue].Add(peer.Run(Queue, SegmentsOfRound));
                figures[Launches].Add(peer.Run(Launches, SegmentsOfRound));
            }
        }

        return
        [
            FiguresOf("M/M/1024 at load 0.9", "mean wait, s", MultiServerQueue.ExpectedMeanWaitS(Servers, load: 0.9), figures[Queue]),
            FiguresOf("launches on 1024 servers that fail", "attempts per launch", Models.Launches.ExpectedAttempts, figures[Launches]),
        ];
    }

    private static ModelFigures FiguresOf(string model, string outcome, double expected, List<EngineFigure> all)
    {
        EngineFigure[] best = [.. all.GroupBy(figure => figure.Engine).Select(engine => engine.MaxBy(figure => figure.MillionEventsPerSecond)!)];
        return new ModelFigures(model, outcome, expected, best, Ratio(Peer.Ns3), Ratio(Peer.BareNs3), Ratio(Peer.SimPy));

        double? Ratio(string peer) => best[0].MillionEventsPerSecond / best.Where(figure => figure.Engine.StartsWith(peer, StringComparison.Ordinal)).Max(figure => (double?)figure.MillionEventsPerSecond);
    }
}
