using SpecMesh.Contracts;
using SpecMesh.Protocol.Tests.Engine;
using SpecMesh.Protocol.Tests.Faults;

namespace SpecMesh.Protocol.Tests.Hosts;

/// <summary>What the two sides of the protocol share, as the agent's own shell has it: inputs one at a time, effects beside them, ticks, and one ownership call of a kind at a time.</summary>
internal abstract class ProtocolSide<TInput>
{
    private static readonly TimeSpan RetryPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan TickInterval = TimeSpan.FromMilliseconds(500);

    private readonly Queue<TInput> inputs = new();
    private bool reading;
    private bool readAgain;
    private bool appending;

    protected ProtocolSide(Agent agent, Guid operationId, string vmId)
    {
        Agent = agent;
        OperationId = operationId;
        VmId = vmId;
    }

    public Guid OperationId { get; }

    public string VmId { get; }

    public Agent Agent { get; }

    /// <summary>True once the side has ended: what it still does leads nowhere.</summary>
    public bool IsClosed { get; protected set; }

    protected Cluster Cluster => Agent.Cluster;

    protected FaultSource Faults => Agent.Cluster.Faults;

    protected Life Life => Agent.Life;

    /// <summary>Tells the state machine something.</summary>
    public void Post(TInput input)
    {
        if (IsClosed)
        {
            return;
        }

        inputs.Enqueue(input);
        Cluster.Scheduler.Post(Life, _ => TakeNext(), null);
    }

    /// <summary>How much likelier than elsewhere its host is lost: where somebody else may hold what the machine is recovered from, it matters most.</summary>
    protected virtual double LossShare => 1;

    public abstract void LookAgain();

    protected abstract void Step(TInput input);

    protected void StartTicks(Action tick) => Cluster.Scheduler.After(TickInterval, Life, () =>
    {
        if (!IsClosed)
        {
            tick();
            StartTicks(tick);
        }
    });

    /// <summary>Carries out an effect beside the state machine.</summary>
    protected void Run(Func<Task> work) => Cluster.Scheduler.After(TimeSpan.FromMilliseconds(Cluster.Links.Random.Uniform(0, 4)), Life, () =>
    {
        if (!IsClosed)
        {
            Agent.Guard(work());
        }
    });

    /// <summary>Carries out an effect that the protocol waits for without an alternative.</summary>
    protected void RunUntilDone(Func<Task> work) => Run(async () =>
    {
        while (!IsClosed)
        {
            try
            {
                await work();
                return;
            }
            catch (HypervisorFailedException)
            {
                await Life.Pause(RetryPause);
            }
        }
    });

    protected void Read(Func<OwnershipView, TInput> observed, Func<string, TInput> unanswered)
    {
        readAgain = reading;
        if (reading)
        {
            return;
        }

        reading = true;
        Run(async () =>
        {
            do
            {
                readAgain = false;
                (bool answered, OwnershipView? view) = await Agent.CallAsync(ownership => ownership.ReadAsync(VmId, CancellationToken.None));
                Post(answered ? observed(view!) : unanswered("The call was not answered."));
            }
            while (readAgain && !IsClosed);
            reading = false;
        });
    }

    protected void Append(Func<ReplicationPolicy.Ownership, Task<OwnershipAnswer>> append, Func<OwnershipAnswer, TInput> answeredInput, Func<string, TInput> unanswered)
    {
        if (appending)
        {
            return;
        }

        appending = true;
        Run(async () =>
        {
            (bool answered, OwnershipAnswer? answer) = await Agent.CallAsync(append, Cluster.Mutator.HearsLateAnswers ? late => Post(answeredInput(late)) : null);
            appending = false;
            Post(answered ? answeredInput(answer!) : unanswered("The call was not answered."));
        });
    }

    /// <summary>The hypervisor takes its time, and may refuse.</summary>
    protected async Task HypervisorAsync(string what)
    {
        await Life.Pause(TimeSpan.FromMilliseconds(Cluster.Links.Random.Uniform(0.1, 5)));
        if (Faults.Strikes(Fault.HypervisorFailure))
        {
            throw new HypervisorFailedException($"The hypervisor could not {what}.");
        }
    }

    /// <summary>A write to the journal takes its time.</summary>
    protected async Task JournalAsync()
    {
        bool slow = Faults.Strikes(Fault.JournalSlow);
        double ms = slow ? Faults.RandomOf(Fault.JournalSlow).Uniform(5, 4000) : Cluster.Links.Random.Uniform(0.1, 2);
        await Life.Pause(TimeSpan.FromMilliseconds(ms));
    }

    private void TakeNext()
    {
        if (!IsClosed && inputs.TryDequeue(out TInput? input))
        {
            Step(input);
            if (Faults.Strikes(Fault.AgentCrash))
            {
                Cluster.CrashAgent(Agent.Host);
            }
            else if (Faults.Strikes(Fault.HostLoss, LossShare))
            {
                Cluster.Troubles.Lose(Agent.Host);
            }
        }
    }
}

/// <summary>The simulated hypervisor refused or failed.</summary>
internal sealed class HypervisorFailedException(string message) : Exception(message);
