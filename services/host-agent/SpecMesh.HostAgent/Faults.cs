using SpecMesh.Contracts;
using SpecMesh.DataPath;

namespace SpecMesh.HostAgent;

/// <summary>A fault that was injected on purpose.</summary>
public sealed class InjectedFaultException(string message) : Exception(message);

/// <summary>The faults that this host is told to have. One broken transfer per command; throttling and failing starts last until they are ended.</summary>
public sealed class Faults(TimeProvider time)
{
    private readonly Lock gate = new();
    private FaultKind kind = FaultKind.None;
    private long afterBytes;
    private long bytesPerSecond;
    private DateTimeOffset? until;

    /// <summary>Replaces the fault.</summary>
    public void Set(InjectFault command)
    {
        lock (gate)
        {
            kind = command.Fault;
            afterBytes = command.AfterBytes;
            bytesPerSecond = command.BytesPerSecond;
            until = command.Until;
        }
    }

    /// <summary>The fault of the next migration stream.</summary>
    public ReceiverFaults Take()
    {
        lock (gate)
        {
            EndWhatIsOver();
            ReceiverFaults faults = kind switch
            {
                FaultKind.FailTransfer => new ReceiverFaults(0, Math.Max(1, afterBytes)),
                FaultKind.ThrottleTransfer => new ReceiverFaults(Math.Max(1, bytesPerSecond), 0),
                _ => new ReceiverFaults(),
            };
            if (kind == FaultKind.FailTransfer)
            {
                kind = FaultKind.None;
            }

            return faults;
        }
    }

    /// <exception cref="InjectedFaultException">The host is told to fail.</exception>
    public void ThrowIfStartFails()
    {
        lock (gate)
        {
            EndWhatIsOver();
            if (kind == FaultKind.FailStart)
            {
                throw new InjectedFaultException("A fault injector makes this host refuse shells.");
            }
        }
    }

    private void EndWhatIsOver()
    {
        if (until <= time.GetUtcNow())
        {
            (kind, until) = (FaultKind.None, null);
        }
    }
}
