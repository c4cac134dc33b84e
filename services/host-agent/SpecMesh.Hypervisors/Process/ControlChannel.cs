using System.Diagnostics;
using System.Text;
using SpecMesh.Hypervisors.Native;
using SpecMesh.Hypervisors.Process.Guest;

namespace SpecMesh.Hypervisors.Process;

/// <summary>The agent's half of the <see cref="ControlBlock"/>. For one caller at a time.</summary>
/// <param name="mapping">The control block.</param>
/// <param name="hasExited">True when the guest process is gone.</param>
internal sealed unsafe class ControlChannel(SharedMapping mapping, Func<bool> hasExited)
{
    private const int WaitStepMs = 50;
    private static readonly TimeSpan MostPatience = TimeSpan.FromSeconds(30);

    /// <summary>The control block's memory.</summary>
    public SharedMapping Mapping => mapping;

    public bool IsStarted
    {
        get
        {
            using SharedMapping.Lease lease = mapping.Use();
            return Volatile.Read(ref *ControlBlock.Word(mapping, ControlBlock.StartedOffset)) != 0;
        }
    }

    /// <summary>Asks and waits for the answer. Not for a guest that is stopped: it could not answer.</summary>
    /// <exception cref="HypervisorException">The guest refuses, is gone, or does not answer.</exception>
    public void Call(GuestCommand command)
    {
        // SAFETY: the lease keeps the words mapped until the answer was read.
        using SharedMapping.Lease lease = mapping.Use();
        uint* requestWord = ControlBlock.Word(mapping, ControlBlock.RequestOffset);
        uint* answerWord = ControlBlock.Word(mapping, ControlBlock.AnswerOffset);
        uint request = ControlBlock.NextRequest(Volatile.Read(ref *requestWord), command);
        Volatile.Write(ref *requestWord, request);
        Libc.FutexWake(requestWord);

        long began = Stopwatch.GetTimestamp();
        uint answer;
        while ((answer = Volatile.Read(ref *answerWord)) != request)
        {
            if (hasExited())
            {
                throw new HypervisorException($"The guest ended before it answered {command}.");
            }

            if (Stopwatch.GetElapsedTime(began) > MostPatience)
            {
                throw new HypervisorException($"The guest has not answered {command} for {MostPatience.TotalSeconds} s.");
            }

            Libc.FutexWait(answerWord, answer, WaitStepMs);
        }

        if (*ControlBlock.Word(mapping, ControlBlock.StatusOffset) != 0)
        {
            uint length = Math.Min(*ControlBlock.Word(mapping, ControlBlock.TextLengthOffset), ControlBlock.TextCapacity);
            throw new HypervisorException($"The guest refuses: {Encoding.UTF8.GetString(lease.Bytes(ControlBlock.TextOffset, (int)length))}.");
        }
    }
}
