using System.Buffers.Binary;

namespace SpecMesh.Hypervisors.Xen.Format;

/// <summary>Where bytes of a migration stream go.</summary>
internal delegate void StreamSink(ReadOnlySpan<byte> bytes);

/// <summary>Everything before the pages: the headers of the three formats, and the domain's processor policies.</summary>
internal static class HeadWriter
{
    public static void Write(StreamSink sink, XenDomainSetup setup)
    {
        Validate(setup);
        WriteXlHeader(sink, setup.LibxlConfiguration.Span);
        WriteLibxlHeader(sink);
        Records.Write(sink, XenStreamFormat.LibxlLibxcContext, []);
        WriteLibxcHeaders(sink, setup);
        Records.WriteUnlessEmpty(sink, LibxcRecord.CpuidPolicy, setup.CpuidPolicy.Span);
        Records.WriteUnlessEmpty(sink, LibxcRecord.MsrPolicy, setup.MsrPolicy.Span);
        Records.Write(sink, (uint)LibxcRecord.StaticDataEnd, []);
    }

    private static void Validate(XenDomainSetup setup)
    {
        if (setup.LibxlConfiguration.IsEmpty || setup.LibxlConfiguration.Span.Contains((byte)0))
        {
            throw new ArgumentException("A domain's configuration is not empty, and holds no terminator.", nameof(setup));
        }

        if (setup.CpuidPolicy.Length % XenDomainSetup.CpuidLeafBytes != 0 || setup.MsrPolicy.Length % XenDomainSetup.MsrEntryBytes != 0)
        {
            throw new ArgumentException("A processor policy is not made of whole entries.", nameof(setup));
        }
    }

    private static void WriteXlHeader(StreamSink sink, ReadOnlySpan<byte> configuration)
    {
        // The length counts the terminator that xl's own writer sends along.
        int length = configuration.Length + 1;
        byte[] header = new byte[XenStreamFormat.XlHeaderBytes + sizeof(uint) + length];
        XenStreamFormat.XlMagic.CopyTo(header);
        Span<byte> numbers = header.AsSpan(XenStreamFormat.XlMagic.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(numbers, XenStreamFormat.XlByteOrder);
        BinaryPrimitives.WriteUInt32LittleEndian(numbers[4..], XenStreamFormat.XlMandatoryFlags);
        BinaryPrimitives.WriteUInt32LittleEndian(numbers[8..], 0);
        BinaryPrimitives.WriteUInt32LittleEndian(numbers[12..], (uint)(sizeof(uint) + length));
        BinaryPrimitives.WriteUInt32LittleEndian(numbers[16..], (uint)length);
        configuration.CopyTo(numbers[20..]);
        sink(header);
    }

    private static void WriteLibxlHeader(StreamSink sink)
    {
        Span<byte> header = stackalloc byte[16];
        BinaryPrimitives.WriteUInt64BigEndian(header, XenStreamFormat.LibxlIdentity);
        BinaryPrimitives.WriteUInt32BigEndian(header[8..], XenStreamFormat.LibxlVersion);
        BinaryPrimitives.WriteUInt32BigEndian(header[12..], 0);
        sink(header);
    }

    private static void WriteLibxcHeaders(StreamSink sink, XenDomainSetup setup)
    {
        Span<byte> image = stackalloc byte[24];
        image.Clear();
        BinaryPrimitives.WriteUInt64BigEndian(image, XenStreamFormat.ImageMarker);
        BinaryPrimitives.WriteUInt32BigEndian(image[8..], XenStreamFormat.ImageIdentity);
        BinaryPrimitives.WriteUInt32BigEndian(image[12..], XenStreamFormat.ImageVersion);
        sink(image);

        Span<byte> domain = stackalloc byte[16];
        BinaryPrimitives.WriteUInt32LittleEndian(domain, XenStreamFormat.DomainTypeHvm);
        BinaryPrimitives.WriteUInt32LittleEndian(domain[4..], XenStreamFormat.PageShift);
        BinaryPrimitives.WriteUInt32LittleEndian(domain[8..], (uint)setup.XenMajor);
        BinaryPrimitives.WriteUInt32LittleEndian(domain[12..], (uint)setup.XenMinor);
        sink(domain);
    }
}

/// <summary>Everything after the pages: the domain's state, and the ends of libxc's and of libxl's part.</summary>
internal static class TailWriter
{
    private const int TscBytes = 24;
    private const int ParamBytes = 16;

    public static void Write(StreamSink sink, XenDomainState state)
    {
        if (state.HvmContext.IsEmpty)
        {
            throw new ArgumentException("A suspended domain has a context.", nameof(state));
        }

        Span<byte> tsc = stackalloc byte[TscBytes];
        tsc.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(tsc, state.Tsc.Mode);
        BinaryPrimitives.WriteUInt32LittleEndian(tsc[4..], state.Tsc.Khz);
        BinaryPrimitives.WriteUInt64LittleEndian(tsc[8..], state.Tsc.ElapsedNs);
        BinaryPrimitives.WriteUInt32LittleEndian(tsc[16..], state.Tsc.Incarnation);
        Records.Write(sink, (uint)LibxcRecord.TscInfo, tsc);
        Records.Write(sink, (uint)LibxcRecord.HvmContext, state.HvmContext.Span);
        if (state.HvmParams.Count > 0)
        {
            Records.Write(sink, (uint)LibxcRecord.HvmParams, ParamsOf(state.HvmParams));
        }

        Records.Write(sink, (uint)LibxcRecord.End, []);
        Records.Write(sink, XenStreamFormat.LibxlEnd, []);
    }

    private static byte[] ParamsOf(IReadOnlyList<XenHvmParam> parameters)
    {
        byte[] body = new byte[sizeof(ulong) + (parameters.Count * ParamBytes)];
        BinaryPrimitives.WriteUInt64LittleEndian(body, (ulong)parameters.Count);
        for (int i = 0; i < parameters.Count; i++)
        {
            Span<byte> entry = body.AsSpan(sizeof(ulong) + (i * ParamBytes));
            BinaryPrimitives.WriteUInt64LittleEndian(entry, parameters[i].Index);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[sizeof(ulong)..], parameters[i].Value);
        }

        return body;
    }
}

/// <summary>Single records, which both formats build alike.</summary>
internal static class Records
{
    public static void WriteUnlessEmpty(StreamSink sink, LibxcRecord type, ReadOnlySpan<byte> body)
    {
        if (!body.IsEmpty)
        {
            Write(sink, (uint)type, body);
        }
    }

    public static void Write(StreamSink sink, uint type, ReadOnlySpan<byte> body)
    {
        int padding = XenStreamFormat.PaddingOf(body.Length);
        byte[] record = new byte[XenStreamFormat.RecordHeaderBytes + body.Length + padding];
        XenStreamFormat.WriteRecordHeader(record, type, body.Length);
        body.CopyTo(record.AsSpan(XenStreamFormat.RecordHeaderBytes));
        sink(record);
    }
}
