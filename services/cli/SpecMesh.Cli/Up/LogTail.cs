namespace SpecMesh.Cli.Up;

/// <summary>The end of a log, for the message that says what went wrong.</summary>
public static class LogTail
{
    private const int Lines = 25;
    private const int Bytes = 16 * 1024;

    /// <summary>The last lines of a file, with its name above them.</summary>
    public static string Of(string file)
    {
        if (!File.Exists(file))
        {
            return $"There is no log {file}.";
        }

        using FileStream stream = new(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        stream.Seek(-Math.Min(stream.Length, Bytes), SeekOrigin.End);
        using StreamReader reader = new(stream);
        IEnumerable<string> last = reader.ReadToEnd().TrimEnd().Split('\n').TakeLast(Lines);
        return $"The end of {file}:\n  {string.Join("\n  ", last)}";
    }
}
