using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Native;

namespace SpecMesh.Hypervisors.Process.Guest;

/// <summary>What an agent may ask of a guest process.</summary>
internal enum GuestCommand : uint
{
    /// <summary>Begin to run from what the memory holds. Asked again, nothing happens.</summary>
    Start = 1,

    /// <summary>Synchronous tracker: forget what was written and protect everything.</summary>
    Arm = 2,

    /// <summary>Synchronous tracker: move the written pages to the harvest and protect them again.</summary>
    Harvest = 3,

    /// <summary>Synchronous tracker: let everything be written.</summary>
    Disarm = 4,
}

/// <summary>
/// A small memory that the guest process and its agent share, apart from the guest's own: a mailbox of one request, and the bitmaps of the synchronous
/// tracker. The requests are futex words, so that an agent that comes after another finds nothing to connect to and nothing half said.
/// <code>
/// 0    u32 request: sequence number in the upper 24 bits, command in the lower 8      8   u32 status: 0 done, 1 refused
/// 4    u32 answer: the request that was carried out last                             12  u32 started
/// 16   u32 length of the refusal    20.. its UTF-8 text                              4096.. written words, then harvested words
/// </code>
/// </summary>
internal static unsafe class ControlBlock
{
    public const int RequestOffset = 0;
    public const int AnswerOffset = 4;
    public const int StatusOffset = 8;
    public const int StartedOffset = 12;
    public const int TextLengthOffset = 16;
    public const int TextOffset = 20;
    public const int TextCapacity = 2048;
    public const int WrittenOffset = 4096;

    public static int BitmapWords(long pageCount) => checked((int)((pageCount + 63) / 64));

    public static long HarvestedOffset(long pageCount) => WrittenOffset + ((long)BitmapWords(pageCount) * sizeof(ulong));

    public static long Bytes(long pageCount)
    {
        long bytes = WrittenOffset + (2L * BitmapWords(pageCount) * sizeof(ulong));
        return (bytes + IGuestMemory.PageBytes - 1) / IGuestMemory.PageBytes * IGuestMemory.PageBytes;
    }

    public static GuestCommand CommandOf(uint request) => (GuestCommand)(request & 0xFF);

    public static uint NextRequest(uint last, GuestCommand command) => (((last >> 8) + 1) << 8) | (uint)command;

    /// <summary>A word of the mailbox. The mapping must stay mapped while it is used.</summary>
    public static uint* Word(SharedMapping mapping, int offset)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, TextLengthOffset);

        // SAFETY: the first page always exists, and the offset lies within it.
        return (uint*)(mapping.Address + offset);
    }
}
