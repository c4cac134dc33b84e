using SpecMesh.Hypervisors.Xen;

namespace SpecMesh.Hypervisors.Tests.Xen;

/// <summary>A folder with a stand-in <c>xl</c> and its domains.</summary>
internal sealed class StandInHost : IDisposable
{
    public StandInHost()
    {
        string program = Path.Combine(Folder, "xl");
        File.WriteAllText(program, $"#!/bin/sh\nexec '{Environment.ProcessPath}' '{typeof(StandInXl).Assembly.Location}' xl '{Folder}' \"$@\"\n");
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        }

        Xl = new XlCommand(program, TimeProvider.System);
    }

    public string Folder { get; } = Directory.CreateTempSubdirectory("specmesh-").FullName;

    public XlCommand Xl { get; }

    /// <summary>The commands so far that save, restore or change domains.</summary>
    public string Log => File.Exists(Path.Combine(Folder, "log")) ? File.ReadAllText(Path.Combine(Folder, "log")) : "";

    public void SetMood(string mood) => File.WriteAllText(Path.Combine(Folder, "mood"), mood);

    public IEnumerable<(int Id, string? Name, Guid Uuid, string State)> Domains() => StandInXl.Domains(Folder).Select(found =>
        (found.Id, found.Domain["name"]?.GetValue<string>(), Guid.Parse(found.Domain["uuid"]!.GetValue<string>()), found.Domain["state"]!.GetValue<string>()));

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
