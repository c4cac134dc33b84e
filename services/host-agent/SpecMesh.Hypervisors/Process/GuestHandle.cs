using Microsoft.Win32.SafeHandles;
using SpecMesh.Hypervisors.Native;

namespace SpecMesh.Hypervisors.Process;

/// <summary>The process of a guest, for signals and for its end. It is held by a pidfd, so that a process id used again is never hit.</summary>
internal sealed class GuestHandle : IDisposable
{
    private const int WatchStackBytes = 256 << 10;
    private static readonly TimeSpan MostPatience = TimeSpan.FromSeconds(30);

    private readonly SafeFileHandle process;
    private readonly SafeFileHandle detach = Libc.CreateEvent();
    private readonly TaskCompletionSource exited = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Thread watch;

    private GuestHandle(SafeFileHandle process, int pid, ulong startTime)
    {
        this.process = process;
        Pid = pid;
        StartTime = startTime;
        watch = new Thread(Watch, WatchStackBytes) { Name = $"guest {pid}", IsBackground = true };
        watch.Start();
    }

    public int Pid { get; }

    public ulong StartTime { get; }

    /// <summary>Completes when the process has ended.</summary>
    public Task Exited => exited.Task;

    /// <summary>Opens a process; null when it has ended, or when another process has its id by now.</summary>
    /// <param name="pid">Its id.</param>
    /// <param name="startTime">Its start, in ticks since boot; null for a process that this one has just started.</param>
    public static GuestHandle? Open(int pid, ulong? startTime)
    {
        SafeFileHandle? process = Libc.OpenProcess(pid);
        if (process is null)
        {
            return null;
        }

        // The order matters: what the pidfd holds is the process that is looked at afterwards, or has ended.
        ProcessStatus? status = ProcFs.Read(pid);
        if (status is null || status.HasEnded || (startTime is not null && status.StartTime != startTime))
        {
            process.Dispose();
            return null;
        }

        return new GuestHandle(process, pid, status.StartTime);
    }

    /// <summary>Stops every thread and returns when all of them have stopped.</summary>
    /// <exception cref="HypervisorException">The process is gone or does not stop.</exception>
    public void Stop()
    {
        Send(Libc.SigStop);
        try
        {
            SpinUntil(() => ProcFs.IsStopped(Pid), "stop");
        }
        catch (HypervisorException)
        {
            // A thread that the kernel holds does not stop; the others shall not stay behind.
            Send(Libc.SigCont);
            throw;
        }

        if (HasEnded())
        {
            throw new HypervisorException("The guest ended while it was being stopped.");
        }
    }

    /// <exception cref="HypervisorException">The process is gone.</exception>
    public void Continue() => Send(Libc.SigCont);

    /// <summary>Ends the process and returns when it is gone, and reaped if it is a child of this one.</summary>
    public void Kill()
    {
        _ = Libc.Signal(process, Libc.SigKill);

        // Only the pidfd says when the last thread, and with it the memory, is gone: /proc calls a process a zombie as soon as its first thread is.
        if (Libc.WaitReadable([process], (int)MostPatience.TotalMilliseconds) == 0)
        {
            throw new HypervisorException($"Process {Pid} does not end within {MostPatience.TotalSeconds} s.");
        }

        SpinUntil(IsReaped, "leave the list of processes");
    }

    /// <summary>True when the process has ended, whether anybody has taken note or not.</summary>
    public bool HasEnded() => Libc.WaitReadable([process], 0) != 0;

    public void Dispose()
    {
        Span<byte> one = [1, 0, 0, 0, 0, 0, 0, 0];
        RandomAccess.Write(detach, one, fileOffset: 0);
        watch.Join();
        process.Dispose();
        detach.Dispose();
    }

    private void Send(int signal)
    {
        if (!Libc.Signal(process, signal))
        {
            throw new HypervisorException("The guest is gone.");
        }
    }

    /// <summary>A child of another process is for that one to reap.</summary>
    private bool IsReaped() =>
        ProcFs.Read(Pid) is not { } status || status.StartTime != StartTime || status.ParentPid != Environment.ProcessId;

    /// <summary>The downtime of a migration waits here, so the first looks follow each other closely.</summary>
    private void SpinUntil(Func<bool> condition, string what)
    {
        SpinWait spin = default;
        long began = Environment.TickCount64;
        while (!condition())
        {
            if (Environment.TickCount64 - began > MostPatience.TotalMilliseconds)
            {
                throw new HypervisorException($"Process {Pid} does not {what} within {MostPatience.TotalSeconds} s.");
            }

            spin.SpinOnce();
        }
    }

    private void Watch()
    {
        const int ended = 1;
        if ((Libc.WaitReadable([process, detach], -1) & ended) != 0)
        {
            exited.TrySetResult();
        }
    }
}
