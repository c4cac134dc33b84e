using System.Diagnostics;
using System.Globalization;

namespace SpecMesh.Simulator.Bench;

/// <summary>Another engine, in a process of its own, with the same models in its own language.</summary>
/// <param name="Engine">Its name, and the part of it that was chosen.</param>
/// <param name="File">The program.</param>
/// <param name="Before">Its arguments before the model, its size and the number of segments.</param>
/// <param name="After">Its arguments after them.</param>
/// <param name="CustomersOfSegment">How many customers or launches a segment has: about a third of a second of work.</param>
internal sealed record Peer(string Engine, string File, IReadOnlyList<string> Before, IReadOnlyList<string> After, int CustomersOfSegment)
{
    private const string Ns3Source = "ns3_models.cc", SimPySource = "simpy_models.py";

    /// <summary>The name of ns-3 with its own random numbers begins so.</summary>
    public const string Ns3 = "ns-3, own numbers", BareNs3 = "ns-3, bare numbers", SimPy = "SimPy";

    private static readonly string[] Schedulers = ["Map", "Heap", "Calendar", "PriorityQueue"];

    /// <summary>The peers of this machine. ns-3's are compiled first.</summary>
    /// <param name="folder">Receives what is compiled.</param>
    /// <param name="skipped">Receives the names of those that are not there, with the reason.</param>
    public static IReadOnlyList<Peer> Find(string folder, List<string> skipped)
    {
        List<Peer> found = [];
        string sources = Path.Combine(AppContext.BaseDirectory, "Peers");
        string program = Path.Combine(folder, "ns3_models");
        if (Execute("g++", ["-O3", "-march=native", "-std=c++17", Path.Combine(sources, Ns3Source), "-o", program, "-lns3-core"], out _) is { } noNs3)
        {
            skipped.Add($"ns-3: it does not compile, is libns3-dev installed? {noNs3}");
        }
        else
        {
            found.AddRange(Schedulers.SelectMany(scheduler => new[] { new Peer($"{Ns3}, {scheduler}", program, [], [scheduler, "own"], 1_000_000), new Peer($"{BareNs3}, {scheduler}", program, [], [scheduler, "bare"], 1_000_000) }));
        }

        // Debian's own Python: it has Debian's SimPy.
        if (Execute("/usr/bin/python3", ["-c", "import simpy; print(simpy.__version__)"], out string version) is { } noSimPy)
        {
            skipped.Add($"SimPy: Debian's Python has none, is python3-simpy3 installed? {noSimPy}");
        }
        else
        {
            found.Add(new Peer($"{SimPy} {version.Trim()}", "/usr/bin/python3", [Path.Combine(sources, SimPySource)], [], 30_000));
        }

        return found;
    }

    /// <summary>Runs some segments of a model; the best of them.</summary>
    /// <exception cref="InvalidOperationException">The peer fails, or says something else than it should.</exception>
    public EngineFigure Run(string model, int segments)
    {
        int customers = model == Benchmark.Launches ? CustomersOfSegment / 2 : CustomersOfSegment;
        if (Execute(File, [.. Before, model, customers.ToString(CultureInfo.InvariantCulture), segments.ToString(CultureInfo.InvariantCulture), .. After], out string output) is { } error)
        {
            throw new InvalidOperationException($"{Engine} fails: {error}");
        }

        double[][] lines = [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' ')[1..].Select(word => double.Parse(word, CultureInfo.InvariantCulture)).ToArray())];
        double best = lines.Min(line => line[1] / line[0]) * 1e9;
        return new EngineFigure(Engine, 1e3 / best, best, lines[^1][2]);
    }

    /// <summary>Runs a program to its end; null when it succeeds, otherwise what it said.</summary>
    private static string? Execute(string file, IEnumerable<string> arguments, out string output)
    {
        output = "";
        if (!Path.IsPathRooted(file) && !(Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(folder => System.IO.File.Exists(Path.Combine(folder, file))))
        {
            return $"there is no {file}";
        }

        if (Path.IsPathRooted(file) && !System.IO.File.Exists(file))
        {
            return $"there is no {file}";
        }

        using Process process = Process.Start(new ProcessStartInfo(file, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? null : $"status {process.ExitCode}: {string.Join(' ', errors.Result.Split('\n', StringSplitOptions.RemoveEmptyEntries).TakeLast(2))}";
    }
}
