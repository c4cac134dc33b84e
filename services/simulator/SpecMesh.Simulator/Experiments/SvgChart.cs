using System.Globalization;
using System.Text;

namespace SpecMesh.Simulator.Experiments;

/// <summary>One point of a line, with the half-width of its interval.</summary>
public readonly record struct ChartPoint(double X, double Y, double HalfWidth = 0);

/// <summary>A line of a chart.</summary>
/// <param name="Name">As the legend names it.</param>
/// <param name="Points">From left to right.</param>
public sealed record ChartLine(string Name, IReadOnlyList<ChartPoint> Points);

/// <summary>A chart of lines.</summary>
/// <param name="Title">What it shows.</param>
/// <param name="XLabel">The horizontal axis, with its unit.</param>
/// <param name="YLabel">The vertical axis, with its unit.</param>
/// <param name="Lines">At most eight.</param>
/// <param name="IsXLogarithmic">Whether the horizontal axis has a logarithmic scale.</param>
public sealed record Chart(string Title, string XLabel, string YLabel, IReadOnlyList<ChartLine> Lines, bool IsXLogarithmic = false);

/// <summary>
/// Draws charts as SVG text: the same chart is the same text. There is no background, and every colour has enough contrast on white and on black; lines differ by their markers too, for readers
/// who do not see the colours.
/// </summary>
public static class SvgChart
{
    private const int Width = 720, Height = 440, Left = 72, Right = 150, Top = 44, Bottom = 56;

    /// <summary>Middle grey: 4.5 to 1 on white, 4.6 to 1 on black.</summary>
    private const string Ink = "#767676";

    private static readonly string[] Colours = ["#808080", "#3b82f6", "#d97706", "#16a34a", "#a855f7", "#0d9488", "#ef4444", "#db2777"];

    /// <summary>The whole file.</summary>
    public static string Draw(Chart chart)
    {
        ChartPoint[] all = [.. chart.Lines.SelectMany(line => line.Points)];
        Axis x = chart.IsXLogarithmic
            ? Axis.Logarithmic(all.Min(point => point.X), all.Max(point => point.X), Left, Width - Right)
            : Axis.Linear(all.Min(point => point.X), all.Max(point => point.X), Left, Width - Right);
        Axis y = Axis.Linear(Math.Min(0, all.Min(point => point.Y >= 0 ? 0 : point.Y - point.HalfWidth)), all.Max(point => point.Y + point.HalfWidth), Height - Bottom, Top);
        StringBuilder svg = new();
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {Height}\" font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"{Ink}\">\n");
        svg.Append(CultureInfo.InvariantCulture, $"<title>{Escape(chart.Title)}</title>\n<text x=\"{Left}\" y=\"24\" font-size=\"16\" font-weight=\"600\">{Escape(chart.Title)}</text>\n");
        DrawAxes(svg, chart, x, y);
        for (int i = 0; i < chart.Lines.Count; i++)
        {
            DrawLine(svg, chart.Lines[i], x, y, i);
        }

        return svg.Append("</svg>\n").ToString();
    }

    private static void DrawAxes(StringBuilder svg, Chart chart, Axis x, Axis y)
    {
        foreach (double tick in y.Ticks)
        {
            string at = Number(y.At(tick));
            svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{Left}\" y1=\"{at}\" x2=\"{Width - Right}\" y2=\"{at}\" stroke=\"{Ink}\" stroke-opacity=\"{(tick == 0 ? "0.9" : "0.25")}\"/>\n");
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Left - 8}\" y=\"{at}\" text-anchor=\"end\" dominant-baseline=\"middle\">{Tick(tick)}</text>\n");
        }

        foreach (double tick in x.Ticks)
        {
            string at = Number(x.At(tick));
            svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{at}\" y1=\"{Height - Bottom}\" x2=\"{at}\" y2=\"{Height - Bottom + 5}\" stroke=\"{Ink}\"/>\n");
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{at}\" y=\"{Height - Bottom + 20}\" text-anchor=\"middle\">{Tick(tick)}</text>\n");
        }

        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{(Left + Width - Right) / 2}\" y=\"{Height - 14}\" text-anchor=\"middle\">{Escape(chart.XLabel)}</text>\n");
        int middle = (Top + Height - Bottom) / 2;
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"18\" y=\"{middle}\" text-anchor=\"middle\" transform=\"rotate(-90 18 {middle})\">{Escape(chart.YLabel)}</text>\n");
    }

    private static void DrawLine(StringBuilder svg, ChartLine line, Axis x, Axis y, int index)
    {
        string colour = Colours[index % Colours.Length];
        string path = string.Join(' ', line.Points.Select((point, i) => $"{(i == 0 ? 'M' : 'L')}{Number(x.At(point.X))} {Number(y.At(point.Y))}"));
        svg.Append(CultureInfo.InvariantCulture, $"<g stroke=\"{colour}\" fill=\"{colour}\">\n<path d=\"{path}\" fill=\"none\" stroke-width=\"2\"/>\n");
        foreach (ChartPoint point in line.Points)
        {
            double px = x.At(point.X);
            if (point.HalfWidth > 0)
            {
                string top = Number(y.At(Math.Min(y.To, point.Y + point.HalfWidth))), bottom = Number(y.At(Math.Max(y.From, point.Y - point.HalfWidth)));
                svg.Append(CultureInfo.InvariantCulture, $"<path d=\"M{Number(px)} {top}V{bottom}M{Number(px - 4)} {top}H{Number(px + 4)}M{Number(px - 4)} {bottom}H{Number(px + 4)}\" stroke-width=\"1\"/>\n");
            }

            svg.Append(Marker(index, px, y.At(point.Y)));
        }

        int legend = Top + 10 + (22 * index);
        svg.Append(CultureInfo.InvariantCulture, $"<path d=\"M{Width - Right + 16} {legend}h24\" stroke-width=\"2\"/>\n").Append(Marker(index, Width - Right + 28, legend)).Append("</g>\n");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Width - Right + 48}\" y=\"{legend}\" dominant-baseline=\"middle\">{Escape(line.Name)}</text>\n");
    }

    /// <summary>Circle, square, triangle or diamond, in turn.</summary>
    private static string Marker(int index, double x, double y) => (index % 4) switch
    {
        0 => $"<circle cx=\"{Number(x)}\" cy=\"{Number(y)}\" r=\"3.5\"/>\n",
        1 => $"<path d=\"M{Number(x - 3.5)} {Number(y - 3.5)}h7v7h-7z\"/>\n",
        2 => $"<path d=\"M{Number(x)} {Number(y - 4.5)}l4.5 8h-9z\"/>\n",
        _ => $"<path d=\"M{Number(x)} {Number(y - 5)}l5 5l-5 5l-5 -5z\"/>\n",
    };

    private static string Number(double value) => Math.Round(value, 1).ToString(CultureInfo.InvariantCulture);

    private static string Tick(double value) => value >= 10_000 ? value.ToString("0.#e+0", CultureInfo.InvariantCulture) : Math.Round(value, 6).ToString(CultureInfo.InvariantCulture);

    private static string Escape(string text) => text.Replace("&", "&amp;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal);

    /// <summary>Values to places, with round numbers along it.</summary>
    private sealed record Axis(double From, double To, double FromPlace, double ToPlace, bool IsLogarithmic, IReadOnlyList<double> Ticks)
    {
        public double At(double value) => FromPlace + ((ToPlace - FromPlace) * (Scaled(value) - Scaled(From)) / (Scaled(To) - Scaled(From)));

        public static Axis Linear(double from, double to, double fromPlace, double toPlace)
        {
            double range = to > from ? to - from : 1, step = Math.Pow(10, Math.Floor(Math.Log10(range / 5)));
            step *= (range / step) switch { > 25 => 5, > 12 => 2, _ => 1 };
            double first = Math.Floor(from / step), last = Math.Ceiling((from + range) / step);
            return new(first * step, last * step, fromPlace, toPlace, false, [.. Enumerable.Range(0, (int)(last - first) + 1).Select(i => (first + i) * step)]);
        }

        public static Axis Logarithmic(double from, double to, double fromPlace, double toPlace)
        {
            int first = (int)Math.Floor(Math.Log10(from)), last = (int)Math.Ceiling(Math.Log10(to) - 0.05);
            return new(Math.Pow(10, first), Math.Max(to, Math.Pow(10, last)), fromPlace, toPlace, true, [.. Enumerable.Range(first, last - first + 1).Select(power => Math.Pow(10, power))]);
        }

        private double Scaled(double value) => IsLogarithmic ? Math.Log10(value) : value;
    }
}
