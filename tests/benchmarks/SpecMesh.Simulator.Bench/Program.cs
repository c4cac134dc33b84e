using SpecMesh.Simulator.Bench.Models;
using SpecMesh.Simulator.Engine;

double best = 1e9, cpu;
MultiServerQueue a = new(1024, 0.9, 1);
for (int i = 0; i < (Environment.GetEnvironmentVariable("ONLY") is { } o && o == "B" ? 0 : 10); i++)
{
    cpu = Environment.CpuUsage.TotalTime.TotalSeconds;
    RunSummary s = a.Run(1_000_000);
    best = Math.Min(best, (Environment.CpuUsage.TotalTime.TotalSeconds - cpu) / s.Events * 1e9);
}

Console.Write($"A {best:F1} ns {1000 / best:F1} M/s");
best = 1e9;
Launches b = new(1024, 1);
for (int i = 0; i < (Environment.GetEnvironmentVariable("ONLY") is { } o && o == "A" ? 0 : 10); i++)
{
    cpu = Environment.CpuUsage.TotalTime.TotalSeconds;
    RunSummary s = b.Run(500_000);
    best = Math.Min(best, (Environment.CpuUsage.TotalTime.TotalSeconds - cpu) / s.Events * 1e9);
}

Console.WriteLine($"  B {best:F1} ns {1000 / best:F1} M/s");
if (args.Length == 0) return;
foreach (string which in args)
foreach (int n in (int[])[10, 100, 1000, 10000, 100000, 1000000])
{
    EventQueue queue = new();
    Random rnd = new(1);
    long[] inc = new long[16381];
    for (int i = 0; i < inc.Length; i++)
    {
        double u = 1 - rnd.NextDouble();
        double d = which switch
        {
            "exp" => -Math.Log(u),
            "bimodal" => rnd.NextDouble() < 0.9 ? 0.1 * u : 9.1 + u,
            _ => Math.Pow(u, -1 / 1.5),
        };
        inc[i] = (long)(d * 1e9);
    }

    int k = 0;
    for (int i = 0; i < n; i++) { queue.Push(inc[k], 0, (uint)i); if (++k == inc.Length) k = 0; }
    best = 1e9;
    for (int seg = 0; seg < 8; seg++)
    {
        int ops = Math.Max(1_000_000, 2 * n);
        cpu = Environment.CpuUsage.TotalTime.TotalSeconds;
        for (int i = 0; i < ops; i++)
        {
            queue.TryPop(out SimEvent e);
            queue.Push(e.TimeNs + inc[k], e.Kind, e.Entity);
            if (++k == inc.Length) k = 0;
        }

        double ns = (Environment.CpuUsage.TotalTime.TotalSeconds - cpu) * 1e9 / ops;
        best = Math.Min(best, ns);
    }

    Console.Write($"  {which} {n} {best:F1};");
}

Console.WriteLine();
