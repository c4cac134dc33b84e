using System.Runtime.InteropServices;
using SpecMesh.Hypervisors.Native;

namespace SpecMesh.Hypervisors.Xen.Native;

/// <summary>What the hypervisor says of a domain.</summary>
/// <param name="DomainId">Its number on this host.</param>
/// <param name="Uuid">Id of the machine.</param>
/// <param name="Dying">It is being taken down.</param>
/// <param name="Ended">It has shut down or crashed, for another reason than a suspend.</param>
/// <param name="Suspended">It has suspended itself.</param>
/// <param name="Paused">The toolstack has paused it.</param>
/// <param name="IsHvm">It is PVH or HVM, and not PV.</param>
/// <param name="Pages">Pages of memory that it has now.</param>
/// <param name="CpuTimeNs">Processor time that it has used, in nanoseconds.</param>
/// <param name="OnlineProcessors">Processors that it runs on.</param>
internal sealed record XenDomainInfo(int DomainId, Guid Uuid, bool Dying, bool Ended, bool Suspended, bool Paused, bool IsHvm, long Pages, long CpuTimeNs, int OnlineProcessors);

/// <summary>
/// libxenctrl of Xen 4.17, as far as the driver needs it (<c>tools/include/xenctrl.h</c>, <c>xen/include/public/domctl.h</c>). One handle, and one call at a time: the library keeps
/// buffers for hypercalls on the handle without a lock of its own.
/// </summary>
internal sealed unsafe partial class XenControl : IDisposable
{
    private const uint ShadowOff = 0;
    private const uint ShadowEnableLogDirty = 2;
    private const uint ShadowClean = 11;
    private const uint LogDirtyFinal = 1;
    private const int VersionCommand = 0;
    private const uint ShutdownSuspend = 2;
    private const int TypeBatch = 1024;
    private const ulong TypeMask = 0xf000_0000;
    private const ulong TypeUnmapped = 0xf000_0000;

    // xc_dominfo_t, 112 bytes: offsets as the compiler gives them for the header of 4.17.
    private const int InfoBytes = 112;
    private const int FlagsAt = 8;
    private const int ShutdownReasonAt = 12;
    private const int PagesAt = 16;
    private const int CpuTimeAt = 56;
    private const int OnlineProcessorsAt = 72;
    private const int HandleAt = 80;

    private readonly Lock gate = new();
    private nint handle;

    /// <exception cref="HypervisorException">There is no hypervisor to talk to.</exception>
    public XenControl()
    {
        handle = Open(0, 0, 0);
        if (handle == 0)
        {
            throw new HypervisorException($"The hypervisor does not answer: {Marshal.GetLastPInvokeErrorMessage()}. The Xen driver runs as root in the control domain of a Xen host, with xen-privcmd loaded.");
        }
    }

    /// <summary>Version of the running hypervisor.</summary>
    public (int Major, int Minor) Version
    {
        get
        {
            int version = Locked(() => GetVersion(handle, VersionCommand, 0), "xc_version");
            return (version >> 16, version & 0xffff);
        }
    }

    /// <summary>One domain; null when there is none of this number.</summary>
    public XenDomainInfo? Find(int domainId) => Next(domainId) is { } found && found.DomainId == domainId ? found : null;

    /// <summary>Every domain but the control domain.</summary>
    public IReadOnlyList<XenDomainInfo> List()
    {
        List<XenDomainInfo> domains = [];
        for (XenDomainInfo? next = Next(1); next is not null; next = Next(next.DomainId + 1))
        {
            domains.Add(next);
        }

        return domains;
    }

    /// <summary>Turns the dirty log of a domain on. False when it was on already.</summary>
    /// <exception cref="NativeException">The hypervisor refuses: 95 where it has none for this kind of domain.</exception>
    public bool EnableLogDirty(int domainId)
    {
        lock (gate)
        {
            RequireOpen();
            if (ShadowControl(handle, (uint)domainId, ShadowEnableLogDirty, 0, 0) == 0)
            {
                return true;
            }

            return Marshal.GetLastPInvokeError() == Libc.Einval ? false : throw NativeException.FromLastError("XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY");
        }
    }

    public void StopLogDirty(int domainId) => Locked(() => ShadowControl(handle, (uint)domainId, ShadowOff, 0, 0), "XEN_DOMCTL_SHADOW_OP_OFF");

    /// <summary>Reads the dirty log into a buffer and clears it, in one step for the domain's processors.</summary>
    /// <param name="domainId">The domain.</param>
    /// <param name="into">A bit per page frame.</param>
    /// <param name="pfnCount">Number of page frames.</param>
    /// <param name="final">The domain is suspended: frames that the hypervisor itself may still write count as dirty.</param>
    public void CleanLogDirty(int domainId, HypercallBuffer into, long pfnCount, bool final)
    {
        HypercallArgument argument = new() { Buffer = into.Address, UserBuffer = -1 };
        long pages;
        lock (gate)
        {
            RequireOpen();
            pages = LogDirtyControl(handle, (uint)domainId, ShadowClean, ref argument, (nuint)pfnCount, final ? LogDirtyFinal : 0, out _);
        }

        if (pages != pfnCount)
        {
            throw pages < 0 ? NativeException.FromLastError("XEN_DOMCTL_SHADOW_OP_CLEAN") : new HypervisorException($"The dirty log covers {pages} page frames of {pfnCount}.");
        }
    }

    /// <summary>The page frames of a domain that hold memory.</summary>
    public DataPath.PageBitmap ReadPopulated(int domainId)
    {
        ulong count = 0;
        Locked(() => CountFrames(handle, (uint)domainId, out count), "xc_domain_nr_gpfns");
        DataPath.PageBitmap populated = new((long)count);
        ulong[] batch = new ulong[TypeBatch];
        for (ulong first = 0; first < count; first += TypeBatch)
        {
            int length = (int)Math.Min(TypeBatch, count - first);
            for (int i = 0; i < length; i++)
            {
                batch[i] = first + (ulong)i;
            }

            Locked(() => GetTypes(handle, (uint)domainId, (uint)length, batch), "xc_get_pfn_type_batch");
            for (int i = 0; i < length; i++)
            {
                // Only page frames without memory behind them have the unmapped type.
                if ((batch[i] & TypeMask) != TypeUnmapped)
                {
                    populated.Set((long)first + i);
                }
            }
        }

        return populated;
    }

    /// <summary>Lets a paused domain run.</summary>
    public void Unpause(int domainId) => Locked(() => UnpauseDomain(handle, (uint)domainId), "xc_domain_unpause");

    /// <summary>Runs a call that needs the handle, such as one of libxenguest.</summary>
    public int Locked(Func<nint, int> call, string what) => Locked(() => call(handle), what);

    public Format.XenTsc ReadTsc(int domainId)
    {
        uint mode = 0, khz = 0, incarnation = 0;
        ulong elapsed = 0;
        Locked(() => GetTsc(handle, (uint)domainId, out mode, out elapsed, out khz, out incarnation), "xc_domain_get_tsc_info");
        return new Format.XenTsc(mode, khz, elapsed, incarnation);
    }

    /// <summary>State of the processors and interrupt controllers of a suspended domain.</summary>
    public byte[] ReadHvmContext(int domainId)
    {
        // Without a buffer it answers with the size. An array of no bytes has an address, and would be taken for a buffer that is too small.
        int size = Locked(() => GetHvmContext(handle, (uint)domainId, null, 0), "xc_domain_hvm_getcontext");
        byte[] context = new byte[size];
        int used = Locked(() => GetHvmContext(handle, (uint)domainId, context, (uint)context.Length), "xc_domain_hvm_getcontext");
        return context[..used];
    }

    public ulong ReadHvmParam(int domainId, uint index)
    {
        ulong value = 0;
        Locked(() => GetHvmParam(handle, (uint)domainId, index, out value), "xc_hvm_param_get");
        return value;
    }

    public void Dispose()
    {
        lock (gate)
        {
            nint closing = Interlocked.Exchange(ref handle, 0);
            if (closing != 0)
            {
                _ = Close(closing);
            }
        }
    }

    /// <summary>The library does not look whether it is given a handle.</summary>
    private void RequireOpen() => ObjectDisposedException.ThrowIf(handle == 0, this);

    private XenDomainInfo? Next(int from)
    {
        byte[] info = new byte[InfoBytes];
        lock (gate)
        {
            RequireOpen();
            if (GetInfo(handle, (uint)from, 1, info) != 1)
            {
                // Anything but "no such domain" must not be taken for the end of one.
                return Marshal.GetLastPInvokeError() == Libc.Esrch ? null : throw NativeException.FromLastError("xc_domain_getinfo");
            }
        }

        uint flags = BitConverter.ToUInt32(info, FlagsAt);
        bool shutDown = Bit(flags, 2);
        bool suspended = shutDown && BitConverter.ToUInt32(info, ShutdownReasonAt) == ShutdownSuspend;
        return new XenDomainInfo(
            BitConverter.ToInt32(info, 0),
            new Guid(info.AsSpan(HandleAt, 16), bigEndian: true),
            Dying: Bit(flags, 0),
            Ended: Bit(flags, 1) || (shutDown && !suspended),
            Suspended: suspended,
            Paused: Bit(flags, 3),
            IsHvm: Bit(flags, 6),
            BitConverter.ToInt64(info, PagesAt),
            BitConverter.ToInt64(info, CpuTimeAt),
            BitConverter.ToInt32(info, OnlineProcessorsAt));
    }

    private static bool Bit(uint flags, int bit) => (flags & (1u << bit)) != 0;

    private int Locked(Func<int> call, string what)
    {
        lock (gate)
        {
            RequireOpen();
            int answer = call();
            return answer >= 0 ? answer : throw NativeException.FromLastError(what);
        }
    }

    /// <summary><c>xc_hypercall_buffer_t</c>, 40 bytes. With no user buffer and no direction the library hands the buffer on as it is.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct HypercallArgument
    {
        public nint Buffer;
        public nint Shadow;
        public int Direction;
        public nint UserBuffer;
        public nuint Size;
    }

    /// <summary><c>xc_shadow_op_stats_t</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct ShadowStats
    {
        public uint Faults;
        public uint Dirty;
    }

    [LibraryImport(XenLibraries.Control, EntryPoint = "xc_interface_open", SetLastError = true)]
    private static partial nint Open(nint logger, nint domainBuilderLogger, uint flags);

    [LibraryImport(XenLibraries.Control, EntryPoint = "xc_interface_close")]
    private static partial int Close(nint handle);

    [LibraryImport(XenLibraries.Control, EntryPoint = "xc_version", SetLastError = true)]
    private static partial int GetVersion(nint handle, int command, nint argument);

    [LibraryImport(XenLibraries.Control, EntryPoint = "xc_domain_getinfo", SetLastError = true)]
    private static partial int GetInfo(nint handle, uint firstDomain, uint count, [Out] byte[] info);

    [LibraryImport(XenLibraries.Control, EntryPoint = "xc_domain_unpause", SetLastError = true)]
    private static partial int UnpauseDomain(nint handle, uint domain);

    [LibraryImport(XenLibraries.Control, EntryPoint = "xc_shadow_control", SetLastError = true)]
    private static partial int ShadowControl(nint handle, uint domain, uint operation, nint megabytes, uint mode);

    [LibraryImport(XenLibraries.Control, EntryPoint = "xc_logdirty_control", SetLastError = true)]
    private static partial long LogDirtyControl(nint handle, uint domain, uint operation, ref HypercallArgument bitmap, nuint pages, uint mode, out ShadowStats stats);

    [LibraryImport(XenLibraries.Control, EntryPoint = "xc_domain_nr_gpfns", SetLastError = true)]
    private static partial int CountFrames(nint handle, uint domain, out ulong count);

    [LibraryImport(XenLibraries.Control, EntryPoint = "xc_get_pfn_type_batch", SetLastError = true)]
    private static partial int GetTypes(nint handle, uint domain, uint count, [In, Out] ulong[] frames);

    [LibraryImport(XenLibraries.Control, EntryPoint = "xc_domain_get_tsc_info", SetLastError = true)]
    private static partial int GetTsc(nint handle, uint domain, out uint mode, out ulong elapsedNs, out uint khz, out uint incarnation);

    [LibraryImport(XenLibraries.Control, EntryPoint = "xc_domain_hvm_getcontext", SetLastError = true)]
    private static partial int GetHvmContext(nint handle, uint domain, [Out] byte[]? context, uint size);

    [LibraryImport(XenLibraries.Control, EntryPoint = "xc_hvm_param_get", SetLastError = true)]
    private static partial int GetHvmParam(nint handle, uint domain, uint index, out ulong value);
}
