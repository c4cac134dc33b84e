using Microsoft.Extensions.Logging.Abstractions;
using SpecMesh.Contracts;
using SpecMesh.Services.Tests.Hosting;

namespace SpecMesh.Services.Tests.HostAgent;

/// <summary>In what order and in how many messages reports leave.</summary>
public sealed class ReportsTests
{
    private static readonly Guid Operation = new("5f1d7e84-7a2b-4c3d-9e8f-000000000001");
    private static readonly Guid Other = new("5f1d7e84-7a2b-4c3d-9e8f-000000000002");

    [Fact]
    public async Task rounds_of_one_operation_leave_together_and_reports_keep_their_order()
    {
        IReadOnlyList<object> heard = await SendAsync(
            [Round(Operation, 1), Round(Operation, 2), Round(Other, 1), Cleaned(7), Round(Operation, 3, final: true), Round(Operation, 4), Cleaned(8)], expected: 6);

        Assert.Equal(["rounds 1,2", "rounds 1", "cleaned 7", "rounds 3", "rounds 4", "cleaned 8"], heard.Select(Describe));
    }

    [Fact]
    public async Task a_final_round_leaves_at_once_and_others_wait_for_company()
    {
        // The clock stands still, so that no window ever ends on its own.
        ManualTime time = new(DateTimeOffset.UnixEpoch);
        IReadOnlyList<object> heard = await SendAsync([Round(Operation, 1), Round(Operation, 2, final: true)], expected: 1, time);

        Assert.Equal(["rounds 1,2"], heard.Select(Describe));
    }

    [Fact]
    public async Task no_more_than_the_limit_leaves_in_one_message()
    {
        IReadOnlyList<object> heard = await SendAsync([.. Enumerable.Range(1, SpecMesh.HostAgent.Reports.MaxRounds + 1).Select(number => Round(Operation, number)), Cleaned(9)], expected: 3);

        Assert.Equal([SpecMesh.HostAgent.Reports.MaxRounds, 1], heard.OfType<ReplicaRoundsReported>().Select(report => report.Rounds.Count));
    }

    [Fact]
    public async Task while_nothing_leaves_the_oldest_rounds_are_dropped_and_no_outcome_is()
    {
        const int TooMany = 10;
        List<object> told = [];
        for (int number = 1; number <= SpecMesh.HostAgent.Reports.MaxWaitingRounds + TooMany; number++)
        {
            told.Add(Round(Operation, number));
            if (number % 64 == 0)
            {
                told.Add(Cleaned(number));
            }
        }

        int outcomes = told.OfType<ReplicaCleaned>().Count();
        IReadOnlyList<object> heard = await SendAsync([.. told, Cleaned(0)], until: message => message is ReplicaCleaned { Replica: 0 });

        Assert.Equal(outcomes + 1, heard.OfType<ReplicaCleaned>().Count());
        int[] rounds = [.. heard.OfType<ReplicaRoundsReported>().SelectMany(report => report.Rounds).Select(round => round.Round)];
        Assert.Equal(Enumerable.Range(TooMany + 1, SpecMesh.HostAgent.Reports.MaxWaitingRounds), rounds);
    }

    private static Task<IReadOnlyList<object>> SendAsync(IReadOnlyList<object> told, int expected, TimeProvider? time = null)
    {
        int count = 0;
        return SendAsync(told, _ => ++count == expected, time);
    }

    /// <summary>Tells everything before the first report may leave, and gives what has arrived once the last one has.</summary>
    private static async Task<IReadOnlyList<object>> SendAsync(IReadOnlyList<object> told, Func<object, bool> until, TimeProvider? time = null)
    {
        Seen<object> seen = new();
        await using RunningService service = await RunningService.StartAsync(
            mesh => mesh.Endpoint("probe", endpoint => endpoint
                .Receive<ReplicaRoundsReported>((message, _, _) => Add(seen, message))
                .Receive<ReplicaCleaned>((message, _, _) => Add(seen, message))),
            settings: ("SpecMesh:Prefetch", "1"));
        SpecMesh.HostAgent.Reports reports = new(service.Bus, time ?? TimeProvider.System, NullLogger.Instance);
        foreach (object message in told)
        {
            reports.Tell(message, 4);
        }

        using CancellationTokenSource stop = new();
        Task sending = reports.RunAsync(stop.Token);
        List<object> heard = [];
        do
        {
            heard.Add(await seen.NextAsync());
        }
        while (!until(heard[^1]));
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sending);
        return heard;
    }

    private static Task Add(Seen<object> seen, object message)
    {
        seen.Add(message);
        return Task.CompletedTask;
    }

    private static string Describe(object report) => report switch
    {
        ReplicaRoundsReported rounds => $"rounds {string.Join(',', rounds.Rounds.Select(round => round.Round))}",
        ReplicaCleaned cleaned => $"cleaned {cleaned.Replica}",
        _ => report.ToString()!,
    };

    private static ReplicaCleaned Cleaned(int replica) => new(Operation, replica, "h1");

    private static ReplicaRoundCompleted Round(Guid operation, int number, bool final = false) =>
        new(operation, 0, "h2", number, final, 1, 0, 4096, 1, 0, 0, 0, DateTimeOffset.UnixEpoch);
}
