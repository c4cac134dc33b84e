using System.Text;
using SpecMesh.Hypervisors.Native;

namespace SpecMesh.Hypervisors.Process.Guest;

/// <summary>Carries out what the agent asks through the <see cref="ControlBlock"/>, one request after another, for the life of the process.</summary>
/// <param name="memory">The guest's memory.</param>
/// <param name="control">The control block.</param>
/// <param name="faults">The synchronous tracker, where the guest was built with it.</param>
internal sealed unsafe class ControlServer(SharedMapping memory, SharedMapping control, FaultHandler? faults)
{
    private bool started;

    public void Run()
    {
        // SAFETY: the mapping is never disposed in a guest process.
        uint* requestWord = ControlBlock.Word(control, ControlBlock.RequestOffset);
        uint* answerWord = ControlBlock.Word(control, ControlBlock.AnswerOffset);
        uint done = Volatile.Read(ref *answerWord);
        while (true)
        {
            uint request = Volatile.Read(ref *requestWord);
            if (request == done)
            {
                Libc.FutexWait(requestWord, done, -1);
                continue;
            }

            Answer(Carry(ControlBlock.CommandOf(request)));
            done = request;
            Volatile.Write(ref *answerWord, done);
            Libc.FutexWake(answerWord);
        }
    }

    /// <returns>Why not; null when it is done.</returns>
    private string? Carry(GuestCommand command)
    {
        switch (command)
        {
            case GuestCommand.Start:
                return Start();
            case GuestCommand.Arm when faults is not null:
                faults.Arm();
                return null;
            case GuestCommand.Harvest when faults is not null:
                faults.Harvest();
                return null;
            case GuestCommand.Disarm when faults is not null:
                faults.Disarm();
                return null;
            default:
                return $"the guest does not know how to {command}";
        }
    }

    private string? Start()
    {
        if (started)
        {
            return null;
        }

        string? fault = GuestWriter.Start(memory);
        started = fault is null;
        Volatile.Write(ref *ControlBlock.Word(control, ControlBlock.StartedOffset), started ? 1u : 0u);
        return fault;
    }

    private void Answer(string? refusal)
    {
        using SharedMapping.Lease lease = control.Use();
        Span<byte> text = lease.Bytes(ControlBlock.TextOffset, ControlBlock.TextCapacity);
        Encoding.UTF8.GetEncoder().Convert(refusal ?? string.Empty, text, flush: true, out _, out int length, out _);
        *ControlBlock.Word(control, ControlBlock.TextLengthOffset) = (uint)length;
        *ControlBlock.Word(control, ControlBlock.StatusOffset) = refusal is null ? 0u : 1u;
    }
}
