using System.Globalization;
using SpecMesh.ControlPlane.Bench;
using SpecMesh.ControlPlane.Bench.Agents;

CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
if (args is [AgentsProgram.Verb])
{
    await AgentsProgram.RunAsync();
    return 0;
}

if (args is ["--help" or "-h"])
{
    Console.WriteLine(BenchOptions.Usage);
    return 0;
}

if (BenchOptions.TryParse(args, out BenchOptions? options, out string? error))
{
    return await Benchmark.RunAsync(options);
}

Console.Error.WriteLine($"{error}\n{BenchOptions.Usage}");
return 2;
