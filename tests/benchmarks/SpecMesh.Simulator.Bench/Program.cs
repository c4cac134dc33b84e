using System.Diagnostics;
using System.Globalization;
using System.Numerics;
using System.Text.Json;
using SpecMesh.Simulator.Bench;

const string Usage =
    """
    usage: tests/bench simulator [--json] [--quick]
      --json    one JSON document on standard output instead of tables
      --quick   one round instead of three: figures of a busy machine
    """;

CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
if (args.Except(["--json", "--quick"]).Any())
{
    bool asked = args is ["--help" or "-h"];
    (asked ? Console.Out : Console.Error).WriteLine(Usage);
    return asked ? 0 : 2;
}

// Everything, the peers' processes too, runs on the last core that this process may use.
if (OperatingSystem.IsLinux())
{
    using Process self = Process.GetCurrentProcess();
    self.ProcessorAffinity = (nint)(1UL << BitOperations.Log2((ulong)self.ProcessorAffinity));
}

BenchResult result = Benchmark.Run(args.Contains("--quick") ? 1 : 3);
Console.WriteLine(args.Contains("--json") ? JsonSerializer.Serialize(result, BenchResult.Json) : Tables.Of(result));
return 0;
