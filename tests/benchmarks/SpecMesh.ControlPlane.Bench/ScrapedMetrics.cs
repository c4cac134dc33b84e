using System.Globalization;
using System.Text.RegularExpressions;

namespace SpecMesh.ControlPlane.Bench;

/// <summary>Counters of one program at one moment, from Prometheus' text format.</summary>
internal sealed partial class ScrapedMetrics
{
    private readonly List<(string Name, IReadOnlyDictionary<string, string> Labels, double Value)> series = [];

    private ScrapedMetrics()
    {
    }

    public static ScrapedMetrics Parse(string text)
    {
        ScrapedMetrics metrics = new();
        foreach (string line in text.Split('\n').Where(line => line.Length > 0 && line[0] != '#'))
        {
            int value = line.LastIndexOf(' ');
            string name = line[..value].Split('{')[0];
            Dictionary<string, string> labels = Label().Matches(line[..value]).ToDictionary(match => match.Groups[1].Value, match => match.Groups[2].Value, StringComparer.Ordinal);
            metrics.series.Add((name, labels, double.Parse(line[value..], CultureInfo.InvariantCulture)));
        }

        return metrics;
    }

    /// <summary>Sums of a counter by the value of one label.</summary>
    public IReadOnlyDictionary<string, double> By(string name, string label) => series
        .Where(one => one.Name == name)
        .GroupBy(one => one.Labels.GetValueOrDefault(label, ""), StringComparer.Ordinal)
        .ToDictionary(group => group.Key, group => group.Sum(one => one.Value), StringComparer.Ordinal);

    [GeneratedRegex("""([a-zA-Z_]+)="((?:[^"\\]|\\.)*)"[,}]""")]
    private static partial Regex Label();
}
