using System.Buffers.Binary;

namespace SpecMesh.Hypervisors.Xen.Format;

/// <summary>
/// What the source's driver tells the target's after the last page, in bytes, little endian: magic u32, format u32, clock (mode u32, kHz u32, elapsed ns u64, incarnation u32), length of the
/// context u32, number of parameters u32, then the parameters (index u64, value u64) and the context.
/// </summary>
internal static class XenStateFormat
{
    private const uint Magic = 0x53_58_4d_53; // "SMXS"
    private const uint Format = 1;
    private const int HeadBytes = 36;
    private const int ParamBytes = 16;

    /// <summary>There are fewer parameters than this in <c>xen/hvm/params.h</c>.</summary>
    private const int MostParams = 64;

    public static byte[] Write(XenDomainState state)
    {
        byte[] blob = new byte[HeadBytes + (state.HvmParams.Count * ParamBytes) + state.HvmContext.Length];
        Span<byte> to = blob;
        BinaryPrimitives.WriteUInt32LittleEndian(to, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(to[4..], Format);
        BinaryPrimitives.WriteUInt32LittleEndian(to[8..], state.Tsc.Mode);
        BinaryPrimitives.WriteUInt32LittleEndian(to[12..], state.Tsc.Khz);
        BinaryPrimitives.WriteUInt64LittleEndian(to[16..], state.Tsc.ElapsedNs);
        BinaryPrimitives.WriteUInt32LittleEndian(to[24..], state.Tsc.Incarnation);
        BinaryPrimitives.WriteInt32LittleEndian(to[28..], state.HvmContext.Length);
        BinaryPrimitives.WriteInt32LittleEndian(to[32..], state.HvmParams.Count);
        to = to[HeadBytes..];
        foreach (XenHvmParam parameter in state.HvmParams)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(to, parameter.Index);
            BinaryPrimitives.WriteUInt64LittleEndian(to[8..], parameter.Value);
            to = to[ParamBytes..];
        }

        state.HvmContext.Span.CopyTo(to);
        return blob;
    }

    /// <summary>Reads what another host says.</summary>
    /// <exception cref="HypervisorException">That is no state of a domain.</exception>
    public static XenDomainState Read(ReadOnlySpan<byte> blob)
    {
        Require(blob.Length >= HeadBytes && BinaryPrimitives.ReadUInt32LittleEndian(blob) == Magic, "it does not begin like one");
        Require(BinaryPrimitives.ReadUInt32LittleEndian(blob[4..]) == Format, "its format is not the one that is known here");
        int context = BinaryPrimitives.ReadInt32LittleEndian(blob[28..]);
        int count = BinaryPrimitives.ReadInt32LittleEndian(blob[32..]);
        Require(count is >= 0 and <= MostParams && context > 0 && blob.Length - HeadBytes == (count * ParamBytes) + (long)context, "it does not have the length that it says");
        XenTsc tsc = new(
            BinaryPrimitives.ReadUInt32LittleEndian(blob[8..]),
            BinaryPrimitives.ReadUInt32LittleEndian(blob[12..]),
            BinaryPrimitives.ReadUInt64LittleEndian(blob[16..]),
            BinaryPrimitives.ReadUInt32LittleEndian(blob[24..]));
        XenHvmParam[] parameters = new XenHvmParam[count];
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> entry = blob[(HeadBytes + (i * ParamBytes))..];
            parameters[i] = new XenHvmParam(BinaryPrimitives.ReadUInt64LittleEndian(entry), BinaryPrimitives.ReadUInt64LittleEndian(entry[8..]));
        }

        return new XenDomainState(tsc, blob[(HeadBytes + (count * ParamBytes))..].ToArray(), parameters);
    }

    private static void Require(bool valid, string otherwise)
    {
        if (!valid)
        {
            throw new HypervisorException($"That is no state of a Xen domain: {otherwise}.");
        }
    }
}
