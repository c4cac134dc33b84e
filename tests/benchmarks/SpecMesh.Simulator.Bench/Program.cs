using System.Diagnostics;
using SpecMesh.Simulator.Engine;
string which = args[0];
foreach (int n in (int[])[1000, 10000, 100000, 1000000])
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
    double best = 1e9;
    string all = "";
    long alloc = 0;
    for (int seg = 0; seg < 12; seg++)
    {
        int ops = Math.Max(2_000_000, 2 * n);
        TimeSpan t = Process.GetCurrentProcess().TotalProcessorTime;
        alloc = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < ops; i++)
        {
            queue.TryPop(out SimEvent e);
            queue.Push(e.TimeNs + inc[k], e.Kind, e.Entity);
            if (++k == inc.Length) k = 0;
        }
        alloc = GC.GetAllocatedBytesForCurrentThread() - alloc;

        double ns = (Process.GetCurrentProcess().TotalProcessorTime - t).TotalNanoseconds / ops;
        best = Math.Min(best, ns);
        all += $" {ns:F0}";
    }

    Console.WriteLine($"{which} {n} {best:F1} ns   [{all}] alloc {alloc}");
}
