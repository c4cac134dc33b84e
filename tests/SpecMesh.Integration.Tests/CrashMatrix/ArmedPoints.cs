namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>The directory of fault points, from the test's side: arms points, sees them reached, and lets go.</summary>
public sealed class ArmedPoints
{
    public ArmedPoints(string directory) => Directory = System.IO.Directory.CreateDirectory(directory).FullName;

    public string Directory { get; }

    /// <summary>The points where processes wait now, as <c>PROCESS.POINT</c>.</summary>
    public IReadOnlyList<string> Reached => [.. System.IO.Directory.GetFiles(Directory, "*.reached").Select(file => Path.GetFileNameWithoutExtension(file))];

    /// <summary>The next time that the process gets there, it waits.</summary>
    public void Arm(string process, string point) => File.WriteAllText(Path.Combine(Directory, $"{process}.{point}"), "");

    /// <summary>Waits until the process is there.</summary>
    public Task ReachedAsync(string process, string point) =>
        Until.TrueAsync(() => Reached.Contains($"{process}.{point}") ? null : $"{process} has not reached {point}");

    /// <summary>Lets the process go on, if it is still there to go on.</summary>
    public void Release(string process, string point) => File.Delete(Path.Combine(Directory, $"{process}.{point}.reached"));

    /// <summary>Nothing is armed, and nobody waits any more.</summary>
    public void Clear()
    {
        foreach (string file in System.IO.Directory.GetFiles(Directory))
        {
            File.Delete(file);
        }
    }
}
