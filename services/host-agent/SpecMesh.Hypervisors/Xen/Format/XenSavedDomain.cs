using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;

namespace SpecMesh.Hypervisors.Xen.Format;

/// <summary>The beginning of a file that <c>xl save</c> has written: xl's header, and the domain's configuration (<c>save_domain_core_writeconfig</c> of <c>tools/xl/xl_saverestore.c</c>).</summary>
internal static class XenSavedDomain
{
    private const int ByteOrderAt = 32;
    private const int FlagsAt = 36;
    private const int LengthAt = 44;
    private const int MostConfigurationBytes = 4 << 20;

    /// <summary>Reads the configuration that a domain had when it was saved.</summary>
    /// <exception cref="HypervisorException">It is no such file.</exception>
    public static LibxlConfiguration Read(string path)
    {
        using SafeFileHandle file = File.OpenHandle(path);
        byte[] header = new byte[XenStreamFormat.XlHeaderBytes + sizeof(uint)];
        bool known = RandomAccess.Read(file, header, 0) == header.Length
            && header.AsSpan().StartsWith(XenStreamFormat.XlMagic)
            && BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(ByteOrderAt)) == XenStreamFormat.XlByteOrder
            && BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(FlagsAt)) == XenStreamFormat.XlMandatoryFlags;
        long length = known ? BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(XenStreamFormat.XlHeaderBytes)) : 0;
        if (!known || length is 0 or > MostConfigurationBytes || BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(LengthAt)) != length + sizeof(uint))
        {
            throw new HypervisorException($"{path} is no domain that xl has saved in the format of Xen 4.17.");
        }

        byte[] configuration = new byte[length];
        return RandomAccess.Read(file, configuration, header.Length) == length
            ? LibxlConfiguration.Parse(configuration.AsSpan().TrimEnd((byte)0))
            : throw new HypervisorException($"{path} ends too early.");
    }
}
