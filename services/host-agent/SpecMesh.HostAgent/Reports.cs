using System.Threading.Channels;
using SpecMesh.Contracts;
using SpecMesh.Hosting;

namespace SpecMesh.HostAgent;

/// <summary>
/// What the agent tells the operations, in the order in which it happened. A report is repeated until the broker has confirmed it. Rounds of one operation that end within
/// <see cref="RoundWindow"/> of each other leave as one message, so that they are appended together; a final round, or a report of another kind behind them, sends them off
/// at once. While the broker is away reports wait in memory: at most <see cref="MaxWaitingRounds"/> rounds, of which the oldest are dropped first. Outcomes are never
/// dropped; an operation has only a few.
/// </summary>
public sealed class Reports(MessageBus bus, TimeProvider time, ILogger logger)
{
    /// <summary>Longest wait for further rounds.</summary>
    public static readonly TimeSpan RoundWindow = TimeSpan.FromMilliseconds(100);

    /// <summary>Most rounds in one message.</summary>
    public const int MaxRounds = 32;

    /// <summary>Most rounds that wait for the broker.</summary>
    public const int MaxWaitingRounds = 4096;

    private static readonly TimeSpan RetryPause = TimeSpan.FromSeconds(1);
    private readonly LinkedList<Report> waiting = new();
    private readonly Queue<LinkedListNode<Report>> rounds = new();
    private readonly Channel<bool> changed = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly Lock gate = new();

    /// <summary>Takes a report; it leaves soon.</summary>
    /// <param name="message">A contract record.</param>
    /// <param name="epoch">Epoch of the operation, for rounds.</param>
    public void Tell(object message, int epoch = 0)
    {
        lock (gate)
        {
            LinkedListNode<Report> node = waiting.AddLast(new Report(message, epoch));
            if (node.Value.Round is not null)
            {
                rounds.Enqueue(node);
                if (rounds.Count > MaxWaitingRounds)
                {
                    LinkedListNode<Report> oldest = rounds.Dequeue();
                    waiting.Remove(oldest);
                    logger.RoundDropped(oldest.Value.Round!.OperationId, oldest.Value.Round.Round);
                }
            }
        }

        changed.Writer.TryWrite(true);
    }

    /// <summary>Sends reports until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            await WaitForMoreRoundsAsync(cancellationToken);
            if (Take() is { } message)
            {
                await SendAsync(message, cancellationToken);
            }
            else
            {
                await changed.Reader.ReadAsync(cancellationToken);
            }
        }
    }

    /// <summary>Waits while the rounds at the head may still get company.</summary>
    private async Task WaitForMoreRoundsAsync(CancellationToken cancellationToken)
    {
        if (!MayGrow())
        {
            return;
        }

        using CancellationTokenSource window = new(RoundWindow, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(window.Token, cancellationToken);
        try
        {
            while (MayGrow())
            {
                await changed.Reader.ReadAsync(either.Token);
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // The window is over: what is here leaves.
            logger.WindowOver();
        }
    }

    private bool MayGrow()
    {
        lock (gate)
        {
            List<Report> head = Head();
            return head.Count > 0 && head.Count < MaxRounds && head.Count == waiting.Count && !head[^1].Round!.Final;
        }
    }

    /// <summary>The rounds that would leave together: of one operation, one behind the other, up to a final one. Empty when the first report is no round.</summary>
    private List<Report> Head()
    {
        List<Report> head = [];
        for (LinkedListNode<Report>? node = waiting.First; node?.Value.Round is { } round && head.Count < MaxRounds; node = node.Next)
        {
            if (head.Count > 0 && (head[0].Round!.OperationId != round.OperationId || head[^1].Round!.Final))
            {
                break;
            }

            head.Add(node.Value);
        }

        return head;
    }

    private object? Take()
    {
        lock (gate)
        {
            List<Report> head = Head();
            if (head.Count == 0)
            {
                Report? first = waiting.First?.Value;
                if (first is not null)
                {
                    waiting.RemoveFirst();
                }

                return first?.Message;
            }

            foreach (Report _ in head)
            {
                waiting.RemoveFirst();
                rounds.Dequeue();
            }

            return new ReplicaRoundsReported(head[0].Round!.OperationId, head[0].Epoch, [.. head.Select(report => report.Round!)]);
        }
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

    private readonly record struct Report(object Message, int Epoch)
    {
        public ReplicaRoundCompleted? Round => Message as ReplicaRoundCompleted;
    }
}
