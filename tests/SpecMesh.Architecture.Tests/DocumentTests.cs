using System.Text.RegularExpressions;

namespace SpecMesh.Architecture.Tests;

/// <summary>What the pages tell a reader to type or to open is there.</summary>
public sealed partial class DocumentTests
{
    public static TheoryData<string> Pages => [.. Tree.Files("*.md").Select(Tree.Relative)];

    [Theory]
    [MemberData(nameof(Pages))]
    public void links_lead_to_files(string page)
    {
        string folder = Path.GetDirectoryName(Path.Combine(Tree.Root, page))!;
        string[] broken = [.. Link().Matches(Tree.Read(page))
            .Select(match => match.Groups[1].Value.Split('#')[0])
            .Where(target => target.Length > 0 && !target.Contains("://", StringComparison.Ordinal) && !Path.Exists(Path.Combine(folder, target)))];
        Assert.Empty(broken);
    }

    [Theory]
    [MemberData(nameof(Pages))]
    public void commands_in_snippets_exist_and_can_be_run(string page)
    {
        string[] missing = [.. CommandsIn(Tree.Read(page)).Where(command => !IsExecutable(Path.Combine(Tree.Root, command)))];
        Assert.Empty(missing);
    }

    [Fact]
    public void a_command_is_found_in_a_snippet_and_not_in_running_text()
    {
        string page = "Run `tests/none` or:\n```bash\n# starts it\n$ infra/up --state x\n    tests/run unit\n```\nthen infra/other.\n";
        Assert.Equal(["infra/up", "tests/run"], CommandsIn(page));
    }

    private static IEnumerable<string> CommandsIn(string page) => Snippet().Matches(page)
        .SelectMany(snippet => snippet.Groups[1].Value.Split('\n'))
        .Select(line => Command().Match(line))
        .Where(match => match.Success)
        .Select(match => match.Groups[1].Value);

    private static bool IsExecutable(string path) => File.Exists(path) && (OperatingSystem.IsWindows() || File.GetUnixFileMode(path).HasFlag(UnixFileMode.UserExecute));

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex("^```(?:bash|sh|console|text)?\\n(.*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Snippet();

    [GeneratedRegex(@"^\s*(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\./)?((?:infra|tests|\.ci)/[\w./-]+)")]
    private static partial Regex Command();
}
