using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;

namespace SpecMesh.Cli.Up;

/// <summary>Files and directories that only their owner may read, and the secrets in them.</summary>
public static class PrivateFiles
{
    private const UnixFileMode OwnerFile = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const UnixFileMode OwnerDirectory = OwnerFile | UnixFileMode.UserExecute;

    /// <summary>Replaces a file's content at once: a reader sees the old text or the new one, with mode 0600.</summary>
    public static void Write(string path, string text)
    {
        if (OperatingSystem.IsWindows())
        {
            throw new PlatformNotSupportedException("Files without Unix modes cannot keep a secret.");
        }

        string temporary = path + ".new";
        File.Delete(temporary);
        using (FileStream stream = new(temporary, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = OwnerFile }))
        using (StreamWriter writer = new(stream))
        {
            writer.Write(text);
        }

        File.Move(temporary, path, overwrite: true);
    }

    /// <summary>Creates a directory with mode 0700, and its parents, for this process's user or another one.</summary>
    public static void CreateDirectory(string path, UnixUser? owner)
    {
        if (OperatingSystem.IsWindows())
        {
            throw new PlatformNotSupportedException("Files without Unix modes cannot keep a secret.");
        }

        Directory.CreateDirectory(path, OwnerDirectory);
        if (owner is not null)
        {
            Give(path, owner);
        }
    }

    /// <summary>Makes a file or directory another user's. Needs root.</summary>
    public static void Give(string path, UnixUser owner) =>
        Run("chown", [string.Create(CultureInfo.InvariantCulture, $"{owner.Uid}:{owner.Gid}"), path]);

    /// <summary>The secret in a file; a new random one of 32 hexadecimal digits is written there first when the file does not exist.</summary>
    public static string Secret(string path)
    {
        if (!File.Exists(path))
        {
            Write(path, RandomNumberGenerator.GetHexString(32, lowercase: true) + "\n");
        }

        return File.ReadAllText(path).Trim();
    }

    private static void Run(string program, IReadOnlyList<string> arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments)) ?? throw new InvalidOperationException($"{program} could not be started");
        process.WaitForExit();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with status {process.ExitCode}");
        }
    }
}
