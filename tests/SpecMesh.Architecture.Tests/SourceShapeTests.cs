using System.Text.RegularExpressions;

namespace SpecMesh.Architecture.Tests;

/// <summary>What the source may not grow into. Limits are ceilings, not aims.</summary>
public sealed partial class SourceShapeTests
{
    private const int LongestFile = 400;
    private const int LongestFunction = 80;

    [Fact]
    public void no_file_is_longer_than_its_limit() =>
        Assert.Empty(Tree.Sources
            .Where(path => File.ReadLines(path).Count() > LongestFile)
            .Select(path => $"{Tree.Relative(path)} has {File.ReadLines(path).Count()} lines"));

    [Fact]
    public void no_function_is_longer_than_its_limit() =>
        Assert.Empty(Tree.Sources.SelectMany(path => FunctionsOf(File.ReadAllLines(path))
            .Where(function => function.Lines > LongestFunction)
            .Select(function => $"{Tree.Relative(path)}:{function.Line} has {function.Lines} lines")));

    [Fact]
    public void the_function_measure_sees_a_long_function_and_not_the_type_around_it()
    {
        string[] body = [.. Enumerable.Range(0, 90).Select(i => $"        Call({i});")];
        string[] source = ["public sealed class Example(int value)", "    : IExample", "{", "    public void Long(int a)", "    {", .. body, "    }", "", "    public int Short()", "    {", "        return 1;", "    }", "}"];
        Assert.Equal([(4, 93), (98, 4)], FunctionsOf(source).ToArray());
    }

    [Fact]
    public void tests_never_sleep()
    {
        string[] sleeping = [.. Tree.Sources
            .Where(path => Tree.Relative(path).StartsWith("tests/", StringComparison.Ordinal) && Path.GetFileName(path) != "SourceShapeTests.cs")
            .Where(path => Sleep().IsMatch(File.ReadAllText(path)))
            .Select(Tree.Relative)];
        Assert.Empty(sleeping);
    }

    [Fact]
    public void no_folder_is_a_dumping_ground()
    {
        string[] vague = ["Common", "Shared", "Utils", "Utilities", "Helpers", "Misc"];
        Assert.Empty(Tree.Directories(Tree.Root).Where(directory => vague.Contains(Path.GetFileName(directory), StringComparer.OrdinalIgnoreCase)).Select(Tree.Relative));
    }

    [Fact]
    public void nothing_is_caught_and_forgotten() =>
        Assert.Empty(Tree.Sources
            .Where(path => Path.GetFileName(path) != "SourceShapeTests.cs" && HasEmptyCatch(File.ReadAllText(path)))
            .Select(Tree.Relative));

    [Theory]
    [InlineData("try { A(); } catch { }", true)]
    [InlineData("try { A(); } catch (IOException) when (x)\n{\n    // It does not matter.\n}", true)]
    [InlineData("try { A(); } catch (IOException)\n{\n    return null; // It has gone.\n}", false)]
    [InlineData("catch (IOException e) when (A(e) is { } b)\n{\n    Log(b);\n}\nType t = new() { };", false)]
    public void an_empty_catch_is_seen(string source, bool empty) => Assert.Equal(empty, HasEmptyCatch(source));

    [Fact]
    public void every_unsafe_block_says_why_it_is_safe()
    {
        List<string> silent = [];
        foreach (string path in Tree.Sources)
        {
            string[] lines = File.ReadAllLines(path);
            for (int i = 0; i < lines.Length; i++)
            {
                if (UnsafeBlock().IsMatch(lines[i]) && !lines[Math.Max(0, i - 4)..Math.Min(lines.Length, i + 3)].Any(line => line.Contains("// SAFETY:", StringComparison.Ordinal)))
                {
                    silent.Add($"{Tree.Relative(path)}:{i + 1}");
                }
            }
        }

        Assert.Empty(silent);
    }

    private static bool HasEmptyCatch(string source) => EmptyCatch().IsMatch(Comment().Replace(source, ""));

    /// <summary>Functions of a file whose braces stand on lines of their own: the line of the signature, from 1, and the number of lines from there to the closing brace.</summary>
    private static IEnumerable<(int Line, int Lines)> FunctionsOf(string[] lines)
    {
        for (int open = 0; open < lines.Length; open++)
        {
            int indent = lines[open].Length - 1;
            if (lines[open].Trim() != "{" || indent < 4)
            {
                continue;
            }

            int start = open - 1;
            while (start > 0 && !Boundary().IsMatch(lines[start - 1]))
            {
                start--;
            }

            string declaration = string.Join(' ', lines[start..open]);
            int close = Array.FindIndex(lines, open, line => line.StartsWith(new string(' ', indent) + "}", StringComparison.Ordinal));
            if (close > open && declaration.Contains('(', StringComparison.Ordinal) && !TypeDeclaration().IsMatch(declaration))
            {
                yield return (start + 1, close - start + 1);
            }
        }
    }

    [GeneratedRegex(@"\b(Thread\.Sleep|Task\.Delay)\b")]
    private static partial Regex Sleep();

    [GeneratedRegex(@"\bcatch\b[^\n{]*\n?\s*\{\s*\}\s*$", RegexOptions.Multiline)]
    private static partial Regex EmptyCatch();

    [GeneratedRegex(@"//[^\n]*")]
    private static partial Regex Comment();

    [GeneratedRegex(@"^\s*unsafe\s*(\{|$)")]
    private static partial Regex UnsafeBlock();

    [GeneratedRegex(@"^\s*$|[;{}\]]\s*$|^\s*//")]
    private static partial Regex Boundary();

    [GeneratedRegex(@"^\s*((public|internal|private|protected|file|static|sealed|abstract|partial|readonly|ref|unsafe)\s+)*(class|record|struct|interface|enum)\b")]
    private static partial Regex TypeDeclaration();
}
