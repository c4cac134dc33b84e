using System.CommandLine.Parsing;
using System.Globalization;

namespace SpecMesh.Cli.Commands;

/// <summary>Amounts as people write them on a command line.</summary>
public static class Quantities
{
    private static readonly (string Unit, double Factor)[] Times = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("", 1)];
    private static readonly (string Unit, double Factor)[] Shares = [("%", 0.01), ("", 1)];
    private static readonly (string Unit, double Factor)[] Sizes =
        [("KiB", 1L << 10), ("MiB", 1L << 20), ("GiB", 1L << 30), ("TiB", 1L << 40), ("K", 1L << 10), ("M", 1L << 20), ("G", 1L << 30), ("T", 1L << 40), ("", 1)];

    /// <summary>Seconds, from <c>60s</c>, <c>2m</c>, <c>500ms</c> or a plain number of seconds.</summary>
    public static double? Seconds(ArgumentResult argument) => Parse(argument, Times, "a duration such as 60s, 2m or 500ms");

    /// <summary>Bytes, from <c>512MiB</c>, <c>2G</c> or a plain number of bytes.</summary>
    public static long? Bytes(ArgumentResult argument) => (long?)Parse(argument, Sizes, "a size such as 512MiB or 2GiB");

    /// <summary>A share, from <c>5%</c> or <c>0.05</c>.</summary>
    public static double? Share(ArgumentResult argument) => Parse(argument, Shares, "a share such as 5% or 0.05");

    private static double? Parse(ArgumentResult argument, (string Unit, double Factor)[] units, string expected)
    {
        string text = argument.Tokens.Count == 1 ? argument.Tokens[0].Value : "";
        foreach ((string unit, double factor) in units)
        {
            if (text.EndsWith(unit, StringComparison.Ordinal)
                && double.TryParse(text[..^unit.Length], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double number)
                && number * factor is > 0 and < long.MaxValue)
            {
                return number * factor;
            }
        }

        argument.AddError($"'{text}' is not {expected}.");
        return null;
    }
}
