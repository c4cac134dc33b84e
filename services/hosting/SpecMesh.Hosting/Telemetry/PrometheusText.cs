using System.Globalization;
using System.Text;

namespace SpecMesh.Hosting;

/// <summary>Prometheus' text exposition format, version 0.0.4.</summary>
/// <remarks>Source: Prometheus' document "Exposition formats"; names with unit and <c>_total</c> as OpenTelemetry's "Prometheus and OpenMetrics Compatibility" maps them.</remarks>
internal static class PrometheusText
{
    public static string Write(IEnumerable<MetricFamily> families)
    {
        StringBuilder text = new();
        foreach (MetricFamily family in families.Where(family => family.Series.Count > 0))
        {
            text.Append("# HELP ").Append(family.Name).Append(' ').Append(EscapeHelp(family.Help)).Append('\n');
            text.Append("# TYPE ").Append(family.Name).Append(' ').Append(KindOf(family.Kind)).Append('\n');
            foreach ((string labels, MetricSeries series) in family.Series)
            {
                if (family.Kind == MetricKind.Histogram)
                {
                    WriteHistogram(text, family, labels, series);
                }
                else
                {
                    Line(text, family.Name, labels, series.Value);
                }
            }
        }

        return text.ToString();
    }

    /// <summary><c>http.server.request.duration</c> with unit <c>s</c> gives <c>http_server_request_duration_seconds</c>.</summary>
    public static string Name(string instrument, string? unit, MetricKind kind)
    {
        string name = Sanitize(instrument);
        string suffix = unit switch
        {
            null or "" or "1" or "ea" => string.Empty,
            "s" => "seconds",
            "ms" => "milliseconds",
            "By" => "bytes",
            "By/s" => "bytes_per_second",
            "%" => "percent",
            _ when unit.StartsWith('{') => string.Empty,
            _ => Sanitize(unit),
        };
        if (suffix.Length > 0 && !name.EndsWith("_" + suffix, StringComparison.Ordinal))
        {
            name += "_" + suffix;
        }

        return kind == MetricKind.Counter && !name.EndsWith("_total", StringComparison.Ordinal) ? name + "_total" : name;
    }

    /// <summary>Label set in the order of label names, so that the same tags always are the same series.</summary>
    public static string Labels(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        if (tags.IsEmpty)
        {
            return string.Empty;
        }

        SortedDictionary<string, string> labels = new(StringComparer.Ordinal);
        foreach (KeyValuePair<string, object?> tag in tags)
        {
            labels[Sanitize(tag.Key)] = Convert.ToString(tag.Value, CultureInfo.InvariantCulture) ?? string.Empty;
        }

        return string.Join(',', labels.Select(label => $"{label.Key}=\"{EscapeLabel(label.Value)}\""));
    }

    private static void WriteHistogram(StringBuilder text, MetricFamily family, string labels, MetricSeries series)
    {
        string separator = labels.Length > 0 ? "," : string.Empty;
        long count = 0;
        for (int bucket = 0; bucket < series.Buckets.Length; bucket++)
        {
            count += series.Buckets[bucket];
            string bound = bucket < family.Bounds.Count ? Number(family.Bounds[bucket]) : "+Inf";
            Line(text, family.Name + "_bucket", $"{labels}{separator}le=\"{bound}\"", count);
        }

        Line(text, family.Name + "_sum", labels, series.Value);
        Line(text, family.Name + "_count", labels, count);
    }

    private static void Line(StringBuilder text, string name, string labels, double value)
    {
        text.Append(name);
        if (labels.Length > 0)
        {
            text.Append('{').Append(labels).Append('}');
        }

        text.Append(' ').Append(Number(value)).Append('\n');
    }

    private static string Number(double value) => value switch
    {
        double.PositiveInfinity => "+Inf",
        double.NegativeInfinity => "-Inf",
        _ => value.ToString("R", CultureInfo.InvariantCulture),
    };

    private static string KindOf(MetricKind kind) => kind switch
    {
        MetricKind.Counter => "counter",
        MetricKind.Gauge => "gauge",
        MetricKind.Histogram => "histogram",
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, null),
    };

    /// <summary>Names hold letters, digits and underscores only, and do not begin with a digit.</summary>
    private static string Sanitize(string name)
    {
        StringBuilder clean = new(name.Length + 1);
        foreach (char c in name)
        {
            clean.Append(char.IsAsciiLetterOrDigit(c) ? c : '_');
        }

        if (clean.Length == 0 || char.IsAsciiDigit(clean[0]))
        {
            clean.Insert(0, '_');
        }

        return clean.ToString();
    }

    private static string EscapeHelp(string help) => help.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);

    private static string EscapeLabel(string value) => EscapeHelp(value).Replace("\"", "\\\"", StringComparison.Ordinal);
}
