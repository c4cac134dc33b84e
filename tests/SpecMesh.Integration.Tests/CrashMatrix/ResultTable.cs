using System.Collections.Concurrent;
using System.Globalization;

namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>What became of each case that ran, printed when all have.</summary>
public sealed class ResultTable
{
    private readonly ConcurrentDictionary<string, (string Result, TimeSpan Took)> results = new(StringComparer.Ordinal);

    public void Add(string name, string result, TimeSpan took) => results[name] = (result, took);

    /// <summary>To the console, and to the file that <c>SPECMESH_MATRIX_TABLE</c> names: a test runner swallows the console.</summary>
    public void Print()
    {
        List<string> lines = [.. results.OrderBy(result => result.Key, StringComparer.Ordinal).Select(result => string.Create(
            CultureInfo.InvariantCulture, $"{result.Key,-52} {result.Value.Took.TotalSeconds,6:0.0} s  {result.Value.Result}"))];
        lines.ForEach(Console.WriteLine);
        if (Environment.GetEnvironmentVariable("SPECMESH_MATRIX_TABLE") is { Length: > 0 } file && lines.Count > 0)
        {
            File.AppendAllLines(file, lines);
        }
    }
}
