using System.Text.Json;
using SpecMesh.Cli.Up;

namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>The processes of the system, by name, as their supervisors' ledgers know them.</summary>
public sealed class Victims(IReadOnlyList<string> ledgers)
{
    private readonly HashSet<string> frozen = new(StringComparer.Ordinal);

    /// <summary>Stops it dead.</summary>
    public void Kill(string name) => Signal(name, "KILL");

    /// <summary>Asks it to end in good order, by the signal that it understands so.</summary>
    public void Stop(string name, string signal) => Signal(name, signal);

    /// <summary>Takes the processor away from it.</summary>
    public void Freeze(string name)
    {
        frozen.Add(name);
        Signal(name, "STOP");
    }

    /// <summary>Gives it back.</summary>
    public void Thaw(string name)
    {
        if (frozen.Remove(name))
        {
            Signal(name, "CONT");
        }
    }

    public void ThawAll()
    {
        foreach (string name in frozen.ToList())
        {
            Thaw(name);
        }
    }

    /// <summary>Its process id now: another one after it was started again.</summary>
    public int PidOf(string name) => ledgers.Select(ledger => PidIn(ledger, name)).FirstOrDefault(pid => pid is not null)
        ?? throw new InvalidOperationException($"{name} is in no ledger.");

    private void Signal(string name, string signal) => ProcessTable.Signal(PidOf(name), signal);

    private static int? PidIn(string ledger, string name)
    {
        using JsonDocument content = JsonDocument.Parse(File.ReadAllText(ledger));
        foreach (JsonElement process in content.RootElement.GetProperty("Processes").EnumerateArray())
        {
            if (process.GetProperty("Name").GetString() == name)
            {
                return process.GetProperty("Pid").GetInt32();
            }
        }

        return null;
    }
}
