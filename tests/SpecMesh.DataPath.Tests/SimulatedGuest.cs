using System.Buffers.Binary;

namespace SpecMesh.DataPath.Tests;

/// <summary>Memory in an array, with an exact dirty log of its own. Reads and writes of whole pages and the log are atomic, as they are for a processor's page.</summary>
internal sealed class SimulatedGuest : IGuestMemory, IDirtyLog
{
    private readonly Lock gate = new();
    private readonly byte[] bytes;
    private readonly PageBitmap dirty;
    private bool tracking;

    public SimulatedGuest(long pageCount)
    {
        PageCount = pageCount;
        bytes = new byte[pageCount * IGuestMemory.PageBytes];
        dirty = new PageBitmap(pageCount);
    }

    public long PageCount { get; }

    public long MemoryBytes => bytes.LongLength;

    public string Name => "simulated";

    public int Starts { get; private set; }

    public int Stops { get; private set; }

    public int Harvests { get; private set; }

    /// <summary>The next harvest clears the log and loses what was in it.</summary>
    public bool LoseNextHarvest { get; set; }

    /// <summary>Runs inside of each harvest, before the log is cleared.</summary>
    public Action? DuringHarvest { get; set; }

    /// <summary>Runs before each read of the sender, with the first page.</summary>
    public Action<long>? BeforeRead { get; set; }

    public ReadOnlySpan<byte> Bytes => bytes;

    /// <summary>Fills every other page with bytes that depend on the seed, and leaves the rest zero.</summary>
    public void Populate(int seed)
    {
        Random random = new(seed);
        for (long page = 0; page < PageCount; page += 2)
        {
            random.NextBytes(bytes.AsSpan((int)(page * IGuestMemory.PageBytes), IGuestMemory.PageBytes));
        }
    }

    /// <summary>The guest writes one word.</summary>
    public void GuestWrites(long page, int offset, ulong value)
    {
        lock (gate)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan((int)(page * IGuestMemory.PageBytes) + offset), value);
            if (tracking)
            {
                dirty.Set(page);
            }
        }
    }

    public bool IsDirty(long page)
    {
        lock (gate)
        {
            return dirty[page];
        }
    }

    public void Read(long firstPage, Span<byte> destination)
    {
        BeforeRead?.Invoke(firstPage);
        lock (gate)
        {
            bytes.AsSpan((int)(firstPage * IGuestMemory.PageBytes), destination.Length).CopyTo(destination);
        }
    }

    public void Write(long firstPage, ReadOnlySpan<byte> source)
    {
        lock (gate)
        {
            source.CopyTo(bytes.AsSpan((int)(firstPage * IGuestMemory.PageBytes)));
        }
    }

    public void Zero(long firstPage, long count)
    {
        lock (gate)
        {
            bytes.AsSpan((int)(firstPage * IGuestMemory.PageBytes), (int)(count * IGuestMemory.PageBytes)).Clear();
        }
    }

    public void Start()
    {
        lock (gate)
        {
            tracking = true;
            Starts++;
            dirty.Clear();
        }
    }

    public void Harvest(PageBitmap into)
    {
        Harvests++;
        DuringHarvest?.Invoke();
        lock (gate)
        {
            if (LoseNextHarvest)
            {
                LoseNextHarvest = false;
                dirty.Clear();
                throw new DirtyLogException("the log overflowed");
            }

            into.Or(dirty);
            dirty.Clear();
        }
    }

    public void Stop()
    {
        lock (gate)
        {
            tracking = false;
            Stops++;
            dirty.Clear();
        }
    }

    public void Dispose() => tracking = false;
}
