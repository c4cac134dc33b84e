using SpecMesh.Protocol.Tests.Engine;

namespace SpecMesh.Protocol.Tests.Checks;

/// <summary>What happened, line by line, for a reader.</summary>
internal sealed class Trace(Scheduler scheduler)
{
    private readonly List<string> lines = [];

    public void Note(string text) => lines.Add($"{scheduler.Now.TotalSeconds,9:F4} {(text.Length > 400 ? text[..400] + "…" : text)}");

    public override string ToString() => string.Join('\n', lines);
}
