using System.Text;
using System.Text.Json;
using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.HostAgent;

/// <summary>
/// What an agent must still know after a crash: the votes that it has given. One file, one JSON line per vote or settled vote, each forced to disk before the call
/// returns. A last line without its end was being written during a crash: that vote was never given, so it is cut off. Once no vote is out, the file is emptied.
/// </summary>
public sealed class Journal : IDisposable
{
    private readonly Lock gate = new();
    private readonly FileStream file;
    private readonly Dictionary<string, JournaledVote> votes = new(StringComparer.Ordinal);

    /// <param name="stateDirectory">The agent's own directory; the journal is made in it.</param>
    /// <exception cref="IOException">Another agent uses the journal.</exception>
    /// <exception cref="InvalidDataException">A line in its middle is damaged: nobody may guess what it said.</exception>
    public Journal(string stateDirectory)
    {
        string directory = Path.GetFullPath(stateDirectory);
        Directory.CreateDirectory(directory);
        file = new FileStream(Path.Combine(directory, "votes.journal"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        Read();
    }

    /// <summary>Writes the vote for a machine. Returns when it is on disk.</summary>
    /// <exception cref="IOException">The vote is not surely on disk, and not surely not.</exception>
    public void WriteVote(string vmId, JournaledVote vote)
    {
        lock (gate)
        {
            Append(new Entry(vmId, vote));
            votes[vmId] = vote;
        }
    }

    /// <summary>The vote that was given for a machine; null when none is out.</summary>
    public JournaledVote? ReadVote(string vmId)
    {
        lock (gate)
        {
            return votes.GetValueOrDefault(vmId);
        }
    }

    /// <summary>Forgets the vote: its fate is known and has been acted on.</summary>
    public void ClearVote(string vmId)
    {
        lock (gate)
        {
            if (!votes.Remove(vmId))
            {
                return;
            }

            if (votes.Count > 0)
            {
                Append(new Entry(vmId, null));
                return;
            }

            file.SetLength(0);
            file.Flush(flushToDisk: true);
        }
    }

    public void Dispose() => file.Dispose();

    private void Append(Entry entry)
    {
        file.Seek(0, SeekOrigin.End);
        JsonSerializer.Serialize(file, entry, ContractJson.Options);
        file.WriteByte((byte)'\n');
        file.Flush(flushToDisk: true);
    }

    private void Read()
    {
        byte[] bytes = new byte[file.Length];
        file.ReadExactly(bytes);
        int end = Array.LastIndexOf(bytes, (byte)'\n') + 1;
        file.SetLength(end);
        foreach (string line in Encoding.UTF8.GetString(bytes, 0, end).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            Entry entry;
            try
            {
                entry = JsonSerializer.Deserialize<Entry>(line, ContractJson.Options) ?? throw new JsonException("The line is null.");
            }
            catch (JsonException error)
            {
                throw new InvalidDataException($"The journal {file.Name} is damaged; decide by the ownership event streams what its host may run, then remove it.", error);
            }

            if (entry.Vote is null)
            {
                votes.Remove(entry.VmId);
            }
            else
            {
                votes[entry.VmId] = entry.Vote;
            }
        }
    }

    private sealed record Entry(string VmId, JournaledVote? Vote);
}
