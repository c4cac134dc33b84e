using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;

namespace SpecMesh.Simulator.Workloads;

/// <summary>Reads <c>name=value</c>. All errors are reported at once, each with the name that it is about.</summary>
public static class ParameterText
{
    private static readonly Dictionary<string, PropertyInfo> ByName = typeof(Parameters)
        .GetProperties(BindingFlags.Public | BindingFlags.Instance)
        .Where(property => property.SetMethod is not null)
        .ToDictionary(property => property.Name, StringComparer.OrdinalIgnoreCase);

    /// <summary>Every parameter's name as it is written on the command line.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. ByName.Keys.Select(name => char.ToLowerInvariant(name[0]) + name[1..]).Order(StringComparer.Ordinal)];

    /// <summary>The parameters with some of them changed.</summary>
    /// <param name="assignments">Each <c>name=value</c>.</param>
    /// <param name="errors">What is wrong with them; empty when nothing is.</param>
    public static Parameters Read(IEnumerable<string> assignments, out IReadOnlyList<string> errors)
    {
        Parameters parameters = Parameters.Default with { };
        List<string> found = [];
        foreach (string assignment in assignments)
        {
            string[] parts = assignment.Split('=', 2);
            if (parts.Length != 2 || !ByName.TryGetValue(parts[0].Trim(), out PropertyInfo? property))
            {
                found.Add(parts.Length != 2 ? $"'{assignment}' is not name=value." : $"There is no parameter '{parts[0]}'. There are: {string.Join(", ", Names)}.");
                continue;
            }

            if (ErrorOf(property, parts[1].Trim(), out object? value) is { } error)
            {
                found.Add($"{parts[0]}: {error}");
                continue;
            }

            property.SetValue(parameters, value);
        }

        found.AddRange(Contradictions(parameters));
        errors = found;
        return parameters;
    }

    private static string? ErrorOf(PropertyInfo property, string text, out object? value)
    {
        Type type = property.PropertyType;
        value = null;
        if (type == typeof(bool))
        {
            value = bool.TryParse(text, out bool flag) ? flag : null;
            return value is null ? $"'{text}' is neither true nor false." : null;
        }

        if (type.IsEnum)
        {
            value = Enum.GetNames(type).Contains(text, StringComparer.OrdinalIgnoreCase) ? Enum.Parse(type, text, ignoreCase: true) : null;
            return value is null ? $"'{text}' is none of {string.Join(", ", Enum.GetNames(type))}." : null;
        }

        if (!double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) || !double.IsFinite(number) || (type == typeof(int) && number != Math.Floor(number)))
        {
            return type == typeof(int) ? $"'{text}' is not a whole number." : $"'{text}' is not a number.";
        }

        RangeAttribute range = property.GetCustomAttribute<RangeAttribute>() ?? throw new InvalidOperationException($"{property.Name} has no limits.");
        double least = Convert.ToDouble(range.Minimum, CultureInfo.InvariantCulture), most = Convert.ToDouble(range.Maximum, CultureInfo.InvariantCulture);
        if (number < least || number > most)
        {
            return string.Create(CultureInfo.InvariantCulture, $"{text} is not from {least} to {most}.");
        }

        value = type == typeof(int) ? (object)(int)number : number;
        return null;
    }

    private static IEnumerable<string> Contradictions(Parameters p)
    {
        (string Least, double LeastValue, string Most, double MostValue)[] ordered =
        [
            (nameof(p.FailureMinSeconds), p.FailureMinSeconds, nameof(p.FailureMaxSeconds), p.FailureMaxSeconds),
            (nameof(p.DirtyMinPagesPerSecond), p.DirtyMinPagesPerSecond, nameof(p.DirtyMaxPagesPerSecond), p.DirtyMaxPagesPerSecond),
            (nameof(p.MigrationErrorMinSeconds), p.MigrationErrorMinSeconds, nameof(p.MigrationErrorMaxSeconds), p.MigrationErrorMaxSeconds),
            (nameof(p.LaunchErrorMinSeconds), p.LaunchErrorMinSeconds, nameof(p.LaunchErrorMaxSeconds), p.LaunchErrorMaxSeconds),
            (nameof(p.UpgradeMinSeconds), p.UpgradeMinSeconds, nameof(p.UpgradeMaxSeconds), p.UpgradeMaxSeconds),
            (nameof(p.UnderloadedShare), p.UnderloadedShare, nameof(p.OverloadedShare), p.OverloadedShare),
        ];
        IEnumerable<string> slow = p.SlowShare > 0 && p.Network == NetworkSharing.MaxMin ? ["SlowShare is for network=simple only."] : [];
        bool isUnlimited = p is { TimeoutSeconds: 0, MaxBytesFactor: 0, MinProgress: 0 };
        IEnumerable<string> last = p.AbortLast && isUnlimited ? ["AbortLast is about a limit: set timeoutSeconds, maxBytesFactor or minProgress."] : [];
        return ordered.Where(pair => pair.LeastValue > pair.MostValue).Select(pair => $"{pair.Least} is above {pair.Most}.").Concat(slow).Concat(last);
    }
}
