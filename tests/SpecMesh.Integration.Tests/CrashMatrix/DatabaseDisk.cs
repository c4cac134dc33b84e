using System.Diagnostics;

namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>Needs the servers as processes of ours: one that is given by the environment is not ours to strike.</summary>
public sealed class OwnServersTheoryAttribute : TheoryAttribute
{
    public OwnServersTheoryAttribute() => Skip = CrashSystem.WhyNot;
}

/// <inheritdoc cref="OwnServersTheoryAttribute"/>
public sealed class OwnServersFactAttribute : FactAttribute
{
    public OwnServersFactAttribute() => Skip = CrashSystem.WhyNot;
}

/// <summary>Needs a file system of the database's own besides.</summary>
public sealed class OwnDiskTheoryAttribute : TheoryAttribute
{
    public OwnDiskTheoryAttribute() => Skip = CrashSystem.WhyNot ?? DatabaseDisk.WhyNot;
}

/// <summary>A file system of the database's own, in a file, so that it can be full without the machine's being full.</summary>
public sealed class DatabaseDisk : IDisposable
{
    private const string Megabytes = "2048";
    private static readonly Lazy<string?> Probed = new(Probe);
    private readonly string image;
    private readonly string place;

    private DatabaseDisk(string image, string place) => (this.image, this.place) = (image, place);

    /// <summary>Why there can be none on this machine; null when there can.</summary>
    public static string? WhyNot => Probed.Value;

    private string Ballast => Path.Combine(place, "ballast");

    /// <summary>Makes one, and mounts it.</summary>
    /// <exception cref="InvalidOperationException">The machine does not permit it.</exception>
    public static DatabaseDisk Mount(string image, string place)
    {
        Run("dd", "if=/dev/zero", "of=" + image, "bs=1M", "count=0", "seek=" + Megabytes);
        Run("mkfs.ext4", "-q", "-m", "0", image);
        Run("mount", "-o", "loop", image, place);
        return new DatabaseDisk(image, place);
    }

    /// <summary>Takes all space that is left.</summary>
    public void Fill()
    {
        using FileStream file = new(Ballast, FileMode.Create);
        byte[] block = new byte[1 << 20];
        try
        {
            while (true)
            {
                file.Write(block);
                file.Flush(flushToDisk: false);
            }
        }
        catch (IOException full)
        {
            Trace.WriteLine(full.Message);
        }
    }

    /// <summary>Gives it back.</summary>
    public void Free() => File.Delete(Ballast);

    public void Dispose()
    {
        Run("umount", place);
        File.Delete(image);
    }

    private static string? Probe()
    {
        string folder = Directory.CreateTempSubdirectory("specmesh-disk-").FullName;
        try
        {
            using DatabaseDisk tried = Mount(folder + ".image", folder);
            return null;
        }
        catch (Exception refused) when (refused is InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            return $"This machine mounts no file system for the database: {refused.Message}";
        }
        finally
        {
            Directory.Delete(folder);
            File.Delete(folder + ".image");
        }
    }

    private static void Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"{program}: {error.Trim()}");
        }
    }
}
