using System.Threading.Channels;

namespace SpecMesh.HostAgent;

/// <summary>Inputs of one state machine, taken one at a time in the order of their arrival.</summary>
public sealed class Mailbox<TInput> : IAsyncDisposable
{
    private readonly Channel<TInput> inputs = Channel.CreateUnbounded<TInput>(new UnboundedChannelOptions { SingleReader = true });
    private readonly Task loop;

    /// <param name="step">Handles one input; it must not throw for anything that an input may say.</param>
    /// <param name="broken">Told when <paramref name="step"/> threw: an invariant is broken, and the state machine stands still.</param>
    public Mailbox(Action<TInput> step, Action<Exception> broken) => loop = Task.Run(() => RunAsync(step, broken));

    /// <summary>True once a step has thrown: nothing is handled any more.</summary>
    public bool IsBroken { get; private set; }

    /// <summary>Takes an input; after <see cref="DisposeAsync"/>, or once the state machine is broken, it is dropped.</summary>
    public void Post(TInput input) => inputs.Writer.TryWrite(input);

    /// <summary>Returns when the inputs that are here already have been handled.</summary>
    public async ValueTask DisposeAsync()
    {
        inputs.Writer.TryComplete();
        await loop;
    }

    private async Task RunAsync(Action<TInput> step, Action<Exception> broken)
    {
        await foreach (TInput input in inputs.Reader.ReadAllAsync())
        {
            try
            {
                step(input);
            }
            catch (Exception error)
            {
                IsBroken = true;
                inputs.Writer.TryComplete();
                broken(error);
                return;
            }
        }
    }
}
