using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Native;

namespace SpecMesh.Hypervisors.Process;

/// <summary>
/// The file of a guest's memory: one page that describes it, then its pages in order. Pages of zeros are holes. Pages that were changed or lost on disk are found by their digest
/// before a guest gets them.
/// <code>
/// 0     8 bytes "SMSNAP01", then JSON, padded with zeros      4096     the memory
/// </code>
/// </summary>
internal static class ProcessSnapshot
{
    private const int HeaderBytes = IGuestMemory.PageBytes;
    private const int ChunkBytes = 256 * IGuestMemory.PageBytes;
    private static readonly byte[] Magic = "SMSNAP01"u8.ToArray();

    public static long FileBytes(long memoryBytes) => HeaderBytes + memoryBytes;

    /// <summary>Fills an empty file with a running guest, which stands still meanwhile.</summary>
    public static void Write(string path, ProcessGuest guest, CancellationToken cancellationToken)
    {
        using SafeFileHandle file = File.OpenHandle(path, FileMode.Open, FileAccess.Write);
        RandomAccess.SetLength(file, FileBytes(guest.Record.MemoryBytes));
        string digest = "";
        guest.ReadStopped(memory => digest = WritePages(file, memory, cancellationToken));
        byte[] description = JsonSerializer.SerializeToUtf8Bytes(new Description(guest.Tag.VmId, guest.Record.MemoryBytes, digest));
        RandomAccess.Write(file, Magic, 0);
        RandomAccess.Write(file, description, Magic.Length);
    }

    /// <exception cref="HypervisorException">It is no snapshot of this driver.</exception>
    public static Snapshot Describe(string path, string name)
    {
        using SafeFileHandle file = File.OpenHandle(path);
        Description found = Read(file, path);
        return new Snapshot(name, found.VmId, found.MemoryBytes, RandomAccess.GetLength(file), File.GetLastWriteTimeUtc(file));
    }

    /// <summary>Fills the memory of a shell.</summary>
    /// <exception cref="HypervisorException">The file is not what was written.</exception>
    public static void Load(string path, IGuestMemory memory, CancellationToken cancellationToken)
    {
        using SafeFileHandle file = File.OpenHandle(path);
        Description expected = Read(file, path);
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] chunk = new byte[ChunkBytes];
        for (long at = 0; at < expected.MemoryBytes; at += ChunkBytes)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Span<byte> pages = chunk.AsSpan(0, (int)Math.Min(ChunkBytes, expected.MemoryBytes - at));
            ReadWhole(file, pages, HeaderBytes + at, path);
            hash.AppendData(pages);
            if (pages.ContainsAnyExcept((byte)0))
            {
                memory.Write(at / IGuestMemory.PageBytes, pages);
            }
        }

        if (Convert.ToHexStringLower(hash.GetHashAndReset()) != expected.Sha256)
        {
            throw new HypervisorException($"{path} is damaged: its pages are not those that were saved.");
        }
    }

    private static string WritePages(SafeFileHandle file, SharedMapping memory, CancellationToken cancellationToken)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using SharedMapping.Lease lease = memory.Use();
        for (long at = 0; at < memory.Length; at += ChunkBytes)
        {
            cancellationToken.ThrowIfCancellationRequested();
            ReadOnlySpan<byte> pages = lease.Bytes(at, (int)Math.Min(ChunkBytes, memory.Length - at));
            hash.AppendData(pages);
            if (pages.ContainsAnyExcept((byte)0))
            {
                RandomAccess.Write(file, pages, HeaderBytes + at);
            }
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static Description Read(SafeFileHandle file, string path)
    {
        byte[] header = new byte[HeaderBytes];
        ReadWhole(file, header, 0, path);
        try
        {
            if (header.AsSpan().StartsWith(Magic)
                && JsonSerializer.Deserialize<Description>(header.AsSpan(Magic.Length).TrimEnd((byte)0)) is { VmId: not null, Sha256: not null } description
                && RandomAccess.GetLength(file) == FileBytes(description.MemoryBytes))
            {
                return description;
            }
        }
        catch (JsonException wrong)
        {
            throw new HypervisorException($"{path} is no snapshot of a process: {wrong.Message}", wrong);
        }

        throw new HypervisorException($"{path} is no snapshot of a process, or not a whole one.");
    }

    private static void ReadWhole(SafeFileHandle file, Span<byte> into, long offset, string path)
    {
        while (!into.IsEmpty)
        {
            int count = RandomAccess.Read(file, into, offset);
            if (count == 0)
            {
                throw new HypervisorException($"{path} ends too early.");
            }

            into = into[count..];
            offset += count;
        }
    }

    /// <summary>What a snapshot says of itself.</summary>
    private sealed record Description(string VmId, long MemoryBytes, string Sha256);
}
