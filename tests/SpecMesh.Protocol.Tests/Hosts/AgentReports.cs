using SpecMesh.Contracts;

namespace SpecMesh.Protocol.Tests.Hosts;

/// <summary>What an agent tells the operations, in order, each report until the broker has confirmed it; rounds of one operation that end close together leave as one message.</summary>
internal sealed class AgentReports(Agent agent)
{
    private static readonly TimeSpan RoundWindow = TimeSpan.FromMilliseconds(100);

    private readonly List<(object Message, int Epoch)> waiting = [];
    private bool running;
    private bool sending;

    public int Count => waiting.Count;

    public void Tell(object message, int epoch)
    {
        waiting.Add((message, epoch));
        Wake();
    }

    /// <summary>From now on reports leave.</summary>
    public void Run()
    {
        running = true;
        Wake();
    }

    private void Wake()
    {
        if (running && !sending && waiting.Count > 0)
        {
            sending = true;
            agent.Guard(SendAsync());
        }
    }

    private async Task SendAsync()
    {
        while (waiting.Count > 0)
        {
            if (waiting.All(report => report.Message is ReplicaRoundCompleted { Final: false }))
            {
                await agent.Life.Pause(RoundWindow);
            }

            object message = Take();
            while (!await agent.PublishAsync(message))
            {
                await agent.Life.Pause(TimeSpan.FromSeconds(1));
            }
        }

        sending = false;
    }

    private object Take()
    {
        (object first, int epoch) = waiting[0];
        if (first is not ReplicaRoundCompleted head)
        {
            waiting.RemoveAt(0);
            return first;
        }

        List<ReplicaRoundCompleted> rounds = [];
        while (waiting.Count > 0 && waiting[0].Message is ReplicaRoundCompleted round && round.OperationId == head.OperationId && (rounds.Count == 0 || !rounds[^1].Final))
        {
            rounds.Add(round);
            waiting.RemoveAt(0);
        }

        return new ReplicaRoundsReported(head.OperationId, epoch, rounds);
    }
}
