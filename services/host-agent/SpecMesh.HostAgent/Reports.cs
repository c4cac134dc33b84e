using System.Threading.Channels;
using SpecMesh.Contracts;
using SpecMesh.Hosting;

namespace SpecMesh.HostAgent;

/// <summary>
/// What the agent tells the operations, in the order in which it happened. A report is repeated until the broker has confirmed it. Rounds that end within
/// <see cref="RoundWindow"/> of each other leave as one message, so that they are appended together.
/// </summary>
public sealed class Reports(MessageBus bus, TimeProvider time, ILogger logger)
{
    /// <summary>Longest wait for further rounds.</summary>
    public static readonly TimeSpan RoundWindow = TimeSpan.FromMilliseconds(100);

    /// <summary>Most rounds in one message.</summary>
    public const int MaxRounds = 32;

    private static readonly TimeSpan RetryPause = TimeSpan.FromSeconds(1);
    private readonly Channel<(object Message, int Epoch)> queue = Channel.CreateUnbounded<(object, int)>(new UnboundedChannelOptions { SingleReader = true });

    /// <summary>Takes a report; it leaves soon.</summary>
    /// <param name="message">A contract record.</param>
    /// <param name="epoch">Epoch of the operation, for rounds.</param>
    public void Tell(object message, int epoch = 0) => queue.Writer.TryWrite((message, epoch));

    /// <summary>Sends reports until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        while (await queue.Reader.WaitToReadAsync(cancellationToken))
        {
            while (queue.Reader.TryRead(out (object Message, int Epoch) next))
            {
                if (next.Message is ReplicaRoundCompleted round)
                {
                    await SendRoundsAsync(round, next.Epoch, cancellationToken);
                }
                else
                {
                    await SendAsync(next.Message, cancellationToken);
                }
            }
        }
    }

    private async Task SendRoundsAsync(ReplicaRoundCompleted first, int epoch, CancellationToken cancellationToken)
    {
        List<ReplicaRoundCompleted> rounds = [first];
        using CancellationTokenSource window = new(RoundWindow, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(window.Token, cancellationToken);
        try
        {
            // Another kind of report ends the batch at once: reports keep their order.
            while (rounds.Count < MaxRounds && await queue.Reader.WaitToReadAsync(either.Token) && queue.Reader.TryPeek(out (object Message, int Epoch) next)
                && next.Message is ReplicaRoundCompleted more && more.OperationId == first.OperationId)
            {
                queue.Reader.TryRead(out _);
                rounds.Add(more);
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            logger.RoundsBatched(rounds.Count);
        }

        await SendAsync(new ReplicaRoundsReported(first.OperationId, epoch, rounds), cancellationToken);
    }

    private async Task SendAsync(object message, CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                await bus.PublishAsync(message, cancellationToken);
                return;
            }
            catch (Exception error) when (!cancellationToken.IsCancellationRequested)
            {
                logger.ReportFailed(message.GetType().Name, error);
                await Task.Delay(RetryPause, time, cancellationToken);
            }
        }
    }
}
