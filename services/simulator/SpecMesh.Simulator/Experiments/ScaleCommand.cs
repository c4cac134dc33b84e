using System.Globalization;
using System.Text;

namespace SpecMesh.Simulator.Experiments;

/// <summary><c>scale</c>: what an event costs in clusters from a thousand servers to a million.</summary>
public static class ScaleCommand
{
    private const long EventsPerSize = 6_000_000;

    /// <summary>Writes <c>scale.csv</c> and <c>scale.svg</c>.</summary>
    /// <returns>The exit status.</returns>
    public static int Execute(IReadOnlyList<string> arguments)
    {
        if (arguments is not ["--out", string folder])
        {
            Console.Error.WriteLine("usage: scale --out DIR");
            return 64;
        }

        Directory.CreateDirectory(folder);
        List<ScalePoint> points = [];
        StringBuilder text = new("servers,events,ns_per_event,bytes_per_server\n");
        foreach (int servers in Scale.Sizes)
        {
            ScalePoint point = Scale.Measure(servers, EventsPerSize);
            points.Add(point);
            text.Append(CultureInfo.InvariantCulture, $"{point.Servers},{point.Events},{point.NanosecondsPerEvent:F0},{point.BytesPerServer:F0}\n");
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{servers} servers: {point.NanosecondsPerEvent:F0} ns per event, {1e3 / point.NanosecondsPerEvent:F1} M events/s, {point.BytesPerServer:F0} bytes per server"));
        }

        File.WriteAllText(Path.Combine(folder, "scale.csv"), text.ToString());
        ChartLine line = new("rolling upgrade", [.. points.Select(point => new ChartPoint(point.Servers, point.NanosecondsPerEvent))]);
        Figures.Save(folder, "scale", new Chart("Cost of an event, by the size of the cluster", "servers, 20 machines each", "processor time per event, ns", [line], IsXLogarithmic: true));
        return 0;
    }
}
