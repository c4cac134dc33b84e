using SpecMesh.Contracts;

namespace SpecMesh.HostAgent;

/// <summary>
/// What the shells around the two protocols share: inputs one at a time, effects beside them, ticks, ownership calls, and an end that waits for all of it.
/// An effect that fails posts its failure as an input; what it did not foresee is logged, and never ends the process.
/// </summary>
public abstract class ProtocolShell<TInput> : IAsyncDisposable
{
    private static readonly TimeSpan RetryPause = TimeSpan.FromSeconds(1);
    private readonly Mailbox<TInput> mailbox;
    private readonly CancellationTokenSource ended = new();
    private readonly HashSet<Task> running = [];
    private readonly Lock gate = new();
    private ITimer? ticks;
    private Task? closing;
    private bool reading;
    private bool readAgain;
    private bool appending;

    private protected ProtocolShell(Agent agent, Guid operationId, string vmId)
    {
        Agent = agent;
        OperationId = operationId;
        VmId = vmId;
        Ended = ended.Token;
        mailbox = new Mailbox<TInput>(Step, error => agent.Logger.ProtocolBroken(operationId, error));
    }

    /// <summary>The operation.</summary>
    public Guid OperationId { get; }

    /// <summary>The machine.</summary>
    public string VmId { get; }

    private protected Agent Agent { get; }

    /// <summary>Cancelled when the shell ends.</summary>
    private protected CancellationToken Ended { get; }

    /// <summary>True once the protocol has thrown: then nothing about the guest may be inferred from its state.</summary>
    private protected bool IsBroken => mailbox.IsBroken;

    /// <summary>Tells the state machine something.</summary>
    public void Post(TInput input) => mailbox.Post(input);

    /// <summary>Handles what has been posted, cancels what runs, waits for it and lets go. Guests stay. A second call waits for the first.</summary>
    public async ValueTask DisposeAsync()
    {
        Task all;
        lock (gate)
        {
            closing ??= Task.Run(EndAsync);
            all = closing;
        }

        await all;
        GC.SuppressFinalize(this);
    }

    /// <summary>Asks the event stream, as a tick would.</summary>
    internal abstract void LookAgain();

    /// <summary>One step of the state machine.</summary>
    private protected abstract void Step(TInput input);

    /// <summary>Called once, after every effect has ended.</summary>
    private protected abstract Task CloseAsync();

    /// <summary>Called when the subclass is whole.</summary>
    private protected void StartTicks(Action tick) =>
        ticks = Agent.Time.CreateTimer(_ => tick(), null, Agent.Options.TickInterval, Agent.Options.TickInterval);

    /// <summary>Carries out an effect beside the state machine, which goes on listening.</summary>
    private protected void Run(Func<Task> work)
    {
        lock (gate)
        {
            Task effect = Task.Run(() => GuardAsync(work));
            running.Add(effect);
            _ = effect.ContinueWith(Remove, TaskScheduler.Default);
        }
    }

    /// <summary>Carries out an effect that the protocol waits for without an alternative: it is tried until it is done.</summary>
    private protected void RunUntilDone(Func<Task> work) => Run(async () =>
    {
        while (true)
        {
            try
            {
                await work();
                return;
            }
            catch (Exception error) when (!Ended.IsCancellationRequested)
            {
                Agent.Logger.EffectRepeated(OperationId, error);
            }

            await Task.Delay(RetryPause, Agent.Time, Ended);
        }
    });

    /// <summary>
    /// Reads the event stream, one read at a time. A read that is asked for while another is under way is made after it: the answer that is under way may be from before
    /// what this one was asked for.
    /// </summary>
    private protected void Read(Func<OwnershipView, TInput> observed, Func<string, TInput> unanswered)
    {
        lock (gate)
        {
            readAgain = reading;
            if (reading)
            {
                return;
            }

            reading = true;
        }

        Run(async () =>
        {
            do
            {
                await AskAsync(async token => observed(await Agent.OwnershipLog.ReadAsync(VmId, token)), unanswered);
            }
            while (MustReadAgain());
        });
    }

    /// <summary>Appends, one append at a time: the protocol repeats what got no answer.</summary>
    private protected void Append(Func<CancellationToken, Task<TInput>> append, Func<string, TInput> unanswered)
    {
        lock (gate)
        {
            if (appending)
            {
                return;
            }

            appending = true;
        }

        Run(async () =>
        {
            try
            {
                await AskAsync(append, unanswered);
            }
            finally
            {
                lock (gate)
                {
                    appending = false;
                }
            }
        });
    }

    private bool MustReadAgain()
    {
        lock (gate)
        {
            reading = readAgain && !Ended.IsCancellationRequested;
            readAgain = false;
            return reading;
        }
    }

    /// <summary>Whatever goes wrong, the call counts as unanswered: it may or may not have happened.</summary>
    private async Task AskAsync(Func<CancellationToken, Task<TInput>> ask, Func<string, TInput> unanswered)
    {
        try
        {
            using CancellationTokenSource limit = HostAgent.Agent.LimitCall(Ended);
            Post(await ask(limit.Token));
        }
        catch (Exception error) when (!Ended.IsCancellationRequested)
        {
            Agent.Logger.OwnershipUnanswered(VmId, error);
            Post(unanswered(error.Message));
        }
    }

    private async Task GuardAsync(Func<Task> work)
    {
        try
        {
            await work();
        }
        catch (OperationCanceledException) when (Ended.IsCancellationRequested)
        {
            Agent.Logger.EffectDropped(OperationId);
        }
        catch (Exception error)
        {
            Agent.Logger.EffectFailed(OperationId, error);
        }
    }

    private async Task EndAsync()
    {
        await (ticks?.DisposeAsync() ?? ValueTask.CompletedTask);
        await mailbox.DisposeAsync();
        await ended.CancelAsync();
        while (Running() is { Length: > 0 } left)
        {
            await Task.WhenAll(left);
            foreach (Task effect in left)
            {
                Remove(effect);
            }
        }

        await CloseAsync();
        ended.Dispose();
    }

    private Task[] Running()
    {
        lock (gate)
        {
            return [.. running];
        }
    }

    private void Remove(Task effect)
    {
        lock (gate)
        {
            running.Remove(effect);
        }
    }
}
