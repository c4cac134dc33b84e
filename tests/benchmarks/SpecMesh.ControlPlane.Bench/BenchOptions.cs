using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace SpecMesh.ControlPlane.Bench;

/// <summary>How the benchmark runs.</summary>
internal sealed record BenchOptions
{
    public const string Usage =
        """
        usage: tests/bench control-plane [--json] [--hosts N] [--concurrency N] [--ramp SECONDS] [--window SECONDS] [--pauses N] [--sq N[,N]]
          --json         one JSON document on standard output instead of tables
          --hosts        hosts with an agent each (6)
          --concurrency  operations under way at a time, each on a machine of its own (16)
          --ramp         seconds under load before counting begins (40: by then the deadlines of the first operations fall due, so that every cost of an operation is seen)
          --window       seconds that are counted (30)
          --pauses       migrations, one after another on the idle system, for the pause (200)
          --sq           numbers of replicas (1,3)
        """;

    public bool Json { get; init; }

    public int Hosts { get; init; } = 6;

    public int Concurrency { get; init; } = 16;

    public TimeSpan Ramp { get; init; } = TimeSpan.FromSeconds(40);

    public TimeSpan Window { get; init; } = TimeSpan.FromSeconds(30);

    public int Pauses { get; init; } = 200;

    public IReadOnlyList<int> Sqs { get; init; } = [1, 3];

    public static bool TryParse(string[] args, [NotNullWhen(true)] out BenchOptions? options, [NotNullWhen(false)] out string? error)
    {
        options = null;
        error = null;
        BenchOptions read = new();
        for (int i = 0; i < args.Length; i++)
        {
            if (args[i] == "--json")
            {
                read = read with { Json = true };
                continue;
            }

            string value = i + 1 < args.Length ? args[i + 1] : "";
            int[] numbers = [.. value.Split(',').Select(text => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : 0)];
            if (numbers.Contains(0) || With(read, args[i], numbers) is not { } next)
            {
                error = $"'{args[i]} {value}' is not understood.";
                return false;
            }

            read = next;
            i++;
        }

        if (read.Sqs.Max() >= read.Hosts)
        {
            error = "There must be more hosts than replicas: the source is never a target.";
            return false;
        }

        options = read;
        return true;
    }

    private static BenchOptions? With(BenchOptions read, string option, int[] numbers) => (option, numbers) switch
    {
        ("--hosts", [var n]) => read with { Hosts = n },
        ("--concurrency", [var n]) => read with { Concurrency = n },
        ("--ramp", [var n]) => read with { Ramp = TimeSpan.FromSeconds(n) },
        ("--window", [var n]) => read with { Window = TimeSpan.FromSeconds(n) },
        ("--pauses", [var n]) => read with { Pauses = n },
        ("--sq", _) => read with { Sqs = numbers },
        _ => null,
    };
}
