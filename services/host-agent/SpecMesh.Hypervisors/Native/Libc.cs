using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace SpecMesh.Hypervisors.Native;

/// <summary>The C library's calls that the Process driver needs, each behind a wrapper that throws <see cref="NativeException"/> with errno.</summary>
internal static unsafe partial class Libc
{
    public const int Eintr = 4;
    public const int Esrch = 3;
    public const int Enomem = 12;
    public const int Einval = 22;
    public const int Enospc = 28;
    public const int SigKill = 9;
    public const int SigCont = 18;
    public const int SigStop = 19;

    private const int AdvicePopulateWrite = 23;
    private const int OpenReadWrite = 2;
    private const int OpenReadOnly = 0;
    private const int OpenWriteOnly = 1;
    private const int OpenCloseOnExec = 0x80000;
    private const uint MemoryCloseOnExec = 1;
    private const int DuplicateFromCloseOnExec = 1030;
    private const long AllocationStep = 64L << 20;

    // The two numbers that differ between the architectures; pidfd calls came late enough to have one number everywhere.
    private static readonly long FutexNumber = ByArchitecture(202, 98);
    private static readonly long UserfaultfdNumber = ByArchitecture(323, 282);
    private const long PidfdSendSignalNumber = 424;
    private const long PidfdOpenNumber = 434;

    /// <summary>Creates an unnamed shared memory of <paramref name="bytes"/>; nothing is allocated yet.</summary>
    public static SafeFileHandle CreateMemory(string name, long bytes)
    {
        SafeFileHandle handle = Owned(MemfdCreate(name, MemoryCloseOnExec), "memfd_create");
        Check(Truncate(handle, bytes), "ftruncate");
        return handle;
    }

    /// <summary>Allocates every page of a shared memory now, so that a later access cannot end in SIGBUS.</summary>
    /// <exception cref="NativeException">ENOMEM or ENOSPC: there is not enough memory.</exception>
    public static void Allocate(SafeFileHandle memory, long bytes)
    {
        // An interrupted allocation is undone by the kernel as a whole; in steps, what is done stays done.
        for (long at = 0; at < bytes; at += AllocationStep)
        {
            while (Fallocate(memory, 0, at, Math.Min(AllocationStep, bytes - at)) != 0)
            {
                ThrowUnlessInterrupted("fallocate");
            }
        }
    }

    public static SafeFileHandle OpenForReading(string path) => Owned(OpenPath(path, OpenReadOnly | OpenCloseOnExec), $"open {path}");

    public static SafeFileHandle OpenForWriting(string path) => Owned(OpenPath(path, OpenWriteOnly | OpenCloseOnExec), $"open {path}");

    public static SafeFileHandle OpenForBoth(string path) => Owned(OpenPath(path, OpenReadWrite | OpenCloseOnExec), $"open {path}");

    /// <summary>Maps the first pages of a range writably, allocating page tables. False when the kernel does not know how (before 5.14).</summary>
    public static bool TryPopulate(nint address, long bytes)
    {
        while (Advise(address, (nuint)bytes, AdvicePopulateWrite) != 0)
        {
            int error = Marshal.GetLastPInvokeError();
            if (error == Einval)
            {
                return false;
            }

            ThrowUnlessInterrupted("madvise");
        }

        return true;
    }

    /// <summary>
    /// Copies into memory that may be write-protected by a userfaultfd. It is an ordinary call into the C library on purpose, without
    /// SuppressGCTransition: a fault blocks the thread until another thread of the same process has resolved it, and a thread blocked in managed code
    /// could not be suspended by the garbage collector, which that other thread may be waiting for.
    /// </summary>
    [LibraryImport("libc", EntryPoint = "memcpy")]
    public static partial nint CopyPreemptively(void* destination, void* source, nuint count);

    /// <summary>Opens a process for signals and for waiting; a process id used again later cannot be mistaken for it.</summary>
    /// <returns>Null when there is no such process.</returns>
    public static SafeFileHandle? OpenProcess(int pid)
    {
        nint fd = Syscall(PidfdOpenNumber, pid, 0, 0, 0);
        return fd < 0 && Marshal.GetLastPInvokeError() == Esrch ? null : Owned((int)fd, "pidfd_open");
    }

    /// <summary>Sends a signal. False when the process is gone.</summary>
    public static bool Signal(SafeFileHandle process, int signal)
    {
        using HandleUse use = new(process);
        if (Syscall(PidfdSendSignalNumber, use.Value, signal, 0, 0) == 0)
        {
            return true;
        }

        return Marshal.GetLastPInvokeError() == Esrch ? false : throw NativeException.FromLastError("pidfd_send_signal");
    }

    /// <summary>Waits until one of the handles is readable; which ones are is the answer, bit by bit. 0 after the time-out (-1: none).</summary>
    public static int WaitReadable(ReadOnlySpan<SafeFileHandle> handles, int timeoutMs)
    {
        const short readable = 1;
        Span<PollEntry> entries = stackalloc PollEntry[handles.Length];
        for (int i = 0; i < handles.Length; i++)
        {
            entries[i] = new PollEntry { Fd = (int)handles[i].DangerousGetHandle(), Events = readable };
        }

        // SAFETY: the entries live on this stack and the count is theirs; the callers keep the handles open for the time of the call.
        fixed (PollEntry* first = entries)
        {
            while (Poll(first, (nuint)entries.Length, timeoutMs) < 0)
            {
                ThrowUnlessInterrupted("poll");
            }
        }

        int answer = 0;
        for (int i = 0; i < entries.Length; i++)
        {
            answer |= entries[i].Returned != 0 ? 1 << i : 0;
        }

        return answer;
    }

    public static SafeFileHandle CreateEvent() => Owned(EventFd(0, OpenCloseOnExec), "eventfd");

    /// <summary>Sleeps until <paramref name="word"/> is woken, unless it already differs from <paramref name="expected"/>. May return early.</summary>
    /// <param name="word">A word of memory that is shared between processes.</param>
    /// <param name="expected">The value to sleep on.</param>
    /// <param name="timeoutMs">At most so long; below 0 without end.</param>
    public static void FutexWait(uint* word, uint expected, int timeoutMs)
    {
        long* time = stackalloc long[2] { timeoutMs / 1000, timeoutMs % 1000 * 1_000_000L };

        // SAFETY: the word stays mapped while its owner waits on it, and the time lives on this stack.
        _ = Syscall(FutexNumber, (nint)word, 0, (nint)expected, timeoutMs < 0 ? 0 : (nint)time);
    }

    public static void FutexWake(uint* word) => _ = Syscall(FutexNumber, (nint)word, 1, int.MaxValue, 0);

    public static SafeFileHandle OpenUserfaultfd(int flags) => Owned((int)Syscall(UserfaultfdNumber, flags, 0, 0, 0), "userfaultfd");

    /// <summary>Reads what is there, blocking for the first byte.</summary>
    public static int Read(SafeFileHandle handle, Span<byte> into)
    {
        // SAFETY: the span is pinned for the call and its length is given.
        fixed (byte* first = into)
        {
            nint count;
            while ((count = ReadBytes(handle, first, (nuint)into.Length)) < 0)
            {
                ThrowUnlessInterrupted("read");
            }

            return (int)count;
        }
    }

    /// <summary>One ioctl with a structure; the answer is the kernel's, at least 0.</summary>
    public static int Control<T>(SafeFileHandle handle, uint request, ref T argument, string what)
        where T : unmanaged
    {
        // SAFETY: the structure is pinned for the call and its size is part of the request number.
        fixed (T* pointer = &argument)
        {
            int answer;
            while ((answer = Ioctl(handle, request, pointer)) < 0)
            {
                ThrowUnlessInterrupted(what);
            }

            return answer;
        }
    }

    /// <summary>Leaves the terminal and the process group of the agent, so that neither its end nor a Ctrl-C reaches this process.</summary>
    public static void LeaveSession() => Check(SetSid(), "setsid");

    /// <summary>Another descriptor of the same file, with a number above those of two others; not inherited by processes that are started.</summary>
    public static SafeFileHandle DuplicateAbove(SafeHandle file, SafeHandle one, SafeHandle other)
    {
        int lowest = (int)Math.Max(one.DangerousGetHandle(), other.DangerousGetHandle()) + 1;
        return Owned(FileControl(file, DuplicateFromCloseOnExec, lowest), "fcntl F_DUPFD_CLOEXEC");
    }

    /// <summary>Points the standard streams to <c>/dev/null</c>.</summary>
    public static void CloseStandardStreams()
    {
        using SafeFileHandle nothing = OpenForBoth("/dev/null");
        for (int fd = 0; fd <= 2; fd++)
        {
            Check(Duplicate(nothing, fd), "dup2");
        }
    }

    private static void Check(int answer, string what)
    {
        if (answer < 0)
        {
            throw NativeException.FromLastError(what);
        }
    }

    private static SafeFileHandle Owned(int fd, string what)
    {
        Check(fd, what);
        return new SafeFileHandle(fd, ownsHandle: true);
    }

    private static void ThrowUnlessInterrupted(string what)
    {
        if (Marshal.GetLastPInvokeError() != Eintr)
        {
            throw NativeException.FromLastError(what);
        }
    }

    private static long ByArchitecture(long x64, long arm64) => RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? arm64 : x64;

    /// <summary>Keeps a handle open while its number is in a system call.</summary>
    private readonly ref struct HandleUse
    {
        private readonly SafeFileHandle handle;

        public HandleUse(SafeFileHandle handle)
        {
            bool added = false;
            handle.DangerousAddRef(ref added);
            this.handle = handle;
        }

        public nint Value => handle.DangerousGetHandle();

        public void Dispose() => handle.DangerousRelease();
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct PollEntry
    {
        public int Fd;
        public short Events;
        public short Returned;
    }

    [LibraryImport("libc", EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int MemfdCreate(string name, uint flags);

    [LibraryImport("libc", EntryPoint = "ftruncate", SetLastError = true)]
    private static partial int Truncate(SafeFileHandle file, long length);

    [LibraryImport("libc", EntryPoint = "fallocate", SetLastError = true)]
    private static partial int Fallocate(SafeFileHandle file, int mode, long offset, long length);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenPath(string path, int flags);

    [LibraryImport("libc", EntryPoint = "madvise", SetLastError = true)]
    private static partial int Advise(nint address, nuint length, int advice);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint Syscall(long number, nint a, nint b, nint c, nint d);

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    private static partial int Poll(PollEntry* entries, nuint count, int timeoutMs);

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    private static partial int EventFd(uint initial, int flags);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Ioctl(SafeFileHandle file, nuint request, void* argument);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static partial nint ReadBytes(SafeFileHandle file, void* into, nuint length);

    [LibraryImport("libc", EntryPoint = "setsid", SetLastError = true)]
    private static partial int SetSid();

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int FileControl(SafeHandle file, int command, nint argument);

    [LibraryImport("libc", EntryPoint = "dup2", SetLastError = true)]
    private static partial int Duplicate(SafeFileHandle from, int to);
}

/// <summary>A system call failed.</summary>
internal sealed class NativeException(string call, int errno) : Exception($"{call}: {Marshal.GetPInvokeErrorMessage(errno)} (errno {errno})")
{
    public int Errno { get; } = errno;

    public static NativeException FromLastError(string call) => new(call, Marshal.GetLastPInvokeError());
}
