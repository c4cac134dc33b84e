using System.Text;

namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>
/// Golden scripts: each command of <c>scripts/*.txt</c> stands above a line <c>----</c> and below it what it has to give, up to an empty line.
/// With <c>SPECMESH_REWRITE_SCRIPTS=1</c> the scripts are rewritten with what the code gives now; the difference is then read by a person.
/// </summary>
public sealed class ScriptTests
{
    public static TheoryData<string> Scripts => [.. Directory.GetFiles(Folder()).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Scripts))]
    public void the_script_gives_its_trace(string name)
    {
        string path = Path.Combine(Folder(), name);
        string expected = File.ReadAllText(path);
        string given = Play(expected);
        if (Environment.GetEnvironmentVariable("SPECMESH_REWRITE_SCRIPTS") == "1")
        {
            File.WriteAllText(path, given);
        }

        Assert.Equal(expected, given);
    }

    [Fact]
    public void a_script_with_another_trace_is_noticed()
    {
        string script = File.ReadAllText(Path.Combine(Folder(), "three-targets.txt"));
        string tampered = script.Replace("winnerHostId=c", "winnerHostId=b", StringComparison.Ordinal);
        Assert.NotEqual(script, tampered);
        Assert.NotEqual(tampered, Play(tampered));
    }

    private static string Play(string script)
    {
        ScriptedOperation operation = new();
        StringBuilder given = new();
        bool inTrace = false;
        foreach (string line in script.TrimEnd('\n').Split('\n'))
        {
            if (line.Length == 0)
            {
                inTrace = false;
            }

            if (inTrace || line == "----")
            {
                continue;
            }

            given.Append(line).Append('\n');
            if (line.Length > 0 && line[0] != '#')
            {
                given.Append("----\n");
                operation.Play(line).ForEach(told => given.Append("  ").Append(told).Append('\n'));
                inTrace = true;
            }
        }

        return given.ToString();
    }

    private static string Folder()
    {
        // The build maps source paths, so a compiled-in path would not exist: the folder is looked for from the output upwards.
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string scripts = Path.Combine(folder.FullName, "tests", "SpecMesh.Speculation.Tests", "scripts");
            if (Directory.Exists(scripts))
            {
                return scripts;
            }
        }

        throw new DirectoryNotFoundException($"No scripts folder above {AppContext.BaseDirectory}.");
    }
}
