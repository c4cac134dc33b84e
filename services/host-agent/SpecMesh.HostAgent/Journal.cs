using System.Text;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.HostAgent;

/// <summary>A complete image in a shell on this host, as its target's journal holds it.</summary>
/// <param name="Command">What the replica was told to prepare.</param>
/// <param name="Incarnation">Incarnation of the image.</param>
/// <param name="Digest">Digest of the image, 16 hexadecimal digits.</param>
/// <param name="OwnershipVersion">Version of the machine's event stream that the image belongs to.</param>
public sealed record JournaledImage(StartReplica Command, int Incarnation, string Digest, long OwnershipVersion = 0);

/// <summary>
/// What an agent must still know after a crash: the votes that it has given as a source, and the complete images that it holds as a target. One file, one JSON line per entry
/// or cleared entry. A last line without its end was being written during a crash: what it says never happened, so it is cut off. Once nothing is left the file is
/// emptied, and above <see cref="CompactBytes"/> it is written anew.
/// </summary>
public sealed class Journal : IDisposable
{
    /// <summary>From this length on the file is written anew with what still counts, at the next entry.</summary>
    public const long CompactBytes = 1 << 20;

    private const string VotePrefix = "vote/";

    private readonly Lock gate = new();
    private readonly Dictionary<string, Entry> entries = new(StringComparer.Ordinal);
    private readonly string path;
    private SafeFileHandle file;
    private long end;
    private long compactedTo;

    /// <param name="stateDirectory">The agent's own directory; the journal is made in it.</param>
    /// <exception cref="IOException">Another agent uses the journal.</exception>
    /// <exception cref="InvalidDataException">A line in its middle is damaged: nobody may guess what it said.</exception>
    public Journal(string stateDirectory)
    {
        string directory = Path.GetFullPath(stateDirectory);
        Directory.CreateDirectory(directory);
        path = Path.Combine(directory, "agent.journal");
        WasThere = File.Exists(path);
        file = File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        try
        {
            Read();
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>True when an earlier agent has used this state directory: then what it built is known here, and what is not known here is not there.</summary>
    public bool WasThere { get; }

    /// <summary>Writes the vote for a machine. Returns when it is on disk.</summary>
    /// <exception cref="IOException">The vote is not surely on disk, and not surely not.</exception>
    public void WriteVote(string vmId, JournaledVote vote) => Write(new Entry(KeyOf(vmId), vote, null), flush: true);

    /// <summary>The vote that was given for a machine; null when none is out.</summary>
    public JournaledVote? ReadVote(string vmId) => Find(KeyOf(vmId))?.Vote;

    /// <summary>Machines that a vote is written down for.</summary>
    public IReadOnlyList<string> VotedMachines
    {
        get
        {
            lock (gate)
            {
                return [.. entries.Keys.Where(key => key.StartsWith(VotePrefix, StringComparison.Ordinal)).Select(key => key[VotePrefix.Length..])];
            }
        }
    }

    /// <summary>Forgets the vote of this operation: its fate is known and has been acted on. Another operation's stays.</summary>
    /// <exception cref="IOException">The vote may still be in the file.</exception>
    public void ClearVote(string vmId, Guid operationId)
    {
        lock (gate)
        {
            if (ReadVote(vmId)?.OperationId == operationId)
            {
                Clear(KeyOf(vmId));
            }
        }
    }

    /// <summary>
    /// Writes down that a shell holds a complete image. It outlives the agent and is not forced to disk: the image is in memory, and is lost with the host as well.
    /// </summary>
    /// <exception cref="IOException">It could not be written.</exception>
    public void WriteImage(JournaledImage image) => Write(new Entry(KeyOf(image.Command.OperationId, image.Command.Replica), null, image), flush: false);

    /// <summary>The complete image of a replica; null when there is none.</summary>
    public JournaledImage? ReadImage(Guid operationId, int replica) => Find(KeyOf(operationId, replica))?.Image;

    /// <summary>Forgets an image: it runs, is void or is gone.</summary>
    /// <exception cref="IOException">The entry may still be in the file.</exception>
    public void ClearImage(Guid operationId, int replica) => Clear(KeyOf(operationId, replica));

    /// <summary>Forgets what is about guests that are not there any more: they went with the host, or ended while no agent ran.</summary>
    /// <param name="vmIds">Machines that have a guest here.</param>
    /// <param name="shells">Replicas that have a guest here.</param>
    public void ForgetAllBut(IReadOnlySet<string> vmIds, IReadOnlySet<(Guid OperationId, int Replica)> shells)
    {
        lock (gate)
        {
            HashSet<string> kept = [.. vmIds.Select(KeyOf), .. shells.Select(shell => KeyOf(shell.OperationId, shell.Replica))];
            foreach (string gone in entries.Keys.Except(kept).ToList())
            {
                Clear(gone);
            }
        }
    }

    public void Dispose()
    {
        lock (gate)
        {
            file.Dispose();
        }
    }

    private static string KeyOf(string vmId) => VotePrefix + vmId;

    private static string KeyOf(Guid operationId, int replica) => $"image/{operationId:N}/{replica}";

    private Entry? Find(string key)
    {
        lock (gate)
        {
            return entries.GetValueOrDefault(key);
        }
    }

    private void Write(Entry entry, bool flush)
    {
        lock (gate)
        {
            if (end > CompactBytes && end > 2 * compactedTo)
            {
                Compact();
            }

            Append(entry, flush);
            entries[entry.Key] = entry;
        }
    }

    private void Clear(string key)
    {
        lock (gate)
        {
            if (!entries.ContainsKey(key))
            {
                return;
            }

            if (entries.Count > 1)
            {
                Append(new Entry(key, null, null), flush: true);
            }
            else
            {
                RandomAccess.SetLength(file, 0);
                end = 0;
                RandomAccess.FlushToDisk(file);
            }

            entries.Remove(key);
        }
    }

    /// <summary>Always at the end of the last whole line: what an append that failed has left is overwritten, and never becomes a damaged line in the middle.</summary>
    private void Append(Entry entry, bool flush)
    {
        RandomAccess.SetLength(file, end);
        byte[] line = LineOf(entry);
        RandomAccess.Write(file, line, end);
        if (flush)
        {
            RandomAccess.FlushToDisk(file);
        }

        end += line.Length;
    }

    /// <summary>The new file takes the old one's place only when it is whole, and is locked before it does.</summary>
    private void Compact()
    {
        SafeFileHandle fresh = File.OpenHandle(path + ".new", FileMode.Create, FileAccess.ReadWrite, FileShare.None);
        try
        {
            byte[] lines = [.. entries.Values.SelectMany(LineOf)];
            RandomAccess.Write(fresh, lines, 0);
            RandomAccess.FlushToDisk(fresh);
            File.Move(path + ".new", path, overwrite: true);
            (file, fresh) = (fresh, file);
            (end, compactedTo) = (lines.Length, lines.Length);
        }
        finally
        {
            fresh.Dispose();
        }
    }

    private void Read()
    {
        byte[] bytes = new byte[RandomAccess.GetLength(file)];
        int read = 0;
        while (read < bytes.Length && RandomAccess.Read(file, bytes.AsSpan(read), read) is var some and > 0)
        {
            read += some;
        }

        end = Array.LastIndexOf(bytes, (byte)'\n') + 1;
        foreach (string line in Encoding.UTF8.GetString(bytes, 0, (int)end).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            Entry entry = Parse(line);
            if (entry is { Vote: null, Image: null })
            {
                entries.Remove(entry.Key);
            }
            else
            {
                entries[entry.Key] = entry;
            }
        }
    }

    private Entry Parse(string line)
    {
        try
        {
            return JsonSerializer.Deserialize<Entry>(line, ContractJson.Options) is { Key: not null } entry ? entry : throw new JsonException("The line has no key.");
        }
        catch (JsonException error)
        {
            throw new InvalidDataException($"The journal {path} is damaged; decide by the ownership event streams what its host may run, then remove it.", error);
        }
    }

    private static byte[] LineOf(Entry entry) => [.. JsonSerializer.SerializeToUtf8Bytes(entry, ContractJson.Options), (byte)'\n'];

    private sealed record Entry(string Key, JournaledVote? Vote, JournaledImage? Image);
}
