namespace SpecMesh.ControlPlane.Bench.Load;

/// <summary>Messages of one type.</summary>
/// <param name="Sent">Messages that the broker has confirmed, per operation.</param>
/// <param name="Durable">Deliveries to quorum queues, per operation.</param>
/// <param name="Temporary">Deliveries to the caller's own queue, per operation.</param>
internal sealed record MessageCost(double Sent, double Durable, double Temporary);

/// <summary>What one operation costs in messages, commits and rows: what the design costs, whoever carries it out.</summary>
/// <param name="Messages">By message type.</param>
/// <param name="AppendCommits">Transactions that append events.</param>
/// <param name="OtherCommits">Further transactions that write: outbox messages that have left, checkpoints, and attempts that lost a race after they had drawn an id.</param>
/// <param name="Events">Event rows.</param>
/// <param name="OutboxRows">Outbox rows, each of them inserted once and deleted once.</param>
/// <param name="ReadTransactions">Transactions that only read, as the server's own (delayed) statistics have them.</param>
/// <param name="LostRaces">Attempts that were repeated because somebody else had appended first.</param>
/// <param name="OwnershipCalls">HTTP requests to the ownership event streams.</param>
internal sealed record OperationCost(
    IReadOnlyDictionary<string, MessageCost> Messages,
    double AppendCommits,
    double OtherCommits,
    double Events,
    double OutboxRows,
    double ReadTransactions,
    double LostRaces,
    double OwnershipCalls)
{
    // Beats come with time, not with operations.
    private const string Beat = "HostHeartbeat";
    private static readonly string[] HeardByClient = ["SpecOpCompleted", "SpecOpSettled"];

    public double Sent => Messages.Values.Sum(message => message.Sent);

    public double Delivered => Messages.Values.Sum(message => message.Durable + message.Temporary);

    public double Commits => AppendCommits + OtherCommits;

    public static OperationCost Of(LoadResult load)
    {
        double operations = load.Operations.Count;
        Snapshot begin = load.Begin;
        Snapshot end = load.End;
        Dictionary<string, double> sent = new(end.GrowthSince(begin, "messaging_masstransit_send_total", "messaging_masstransit_message_type"), StringComparer.Ordinal)
        {
            // The client is this process, and sends nothing else.
            ["SubmitSpecOp"] = operations,
        };
        IReadOnlyDictionary<string, double> delivered = end.GrowthSince(begin, "specmesh_handler_duration_seconds_count", "message");
        Dictionary<string, MessageCost> messages = sent.Where(pair => pair.Key != Beat).OrderBy(pair => pair.Key, StringComparer.Ordinal).ToDictionary(
            pair => pair.Key,
            pair => new MessageCost(pair.Value / operations, delivered.GetValueOrDefault(pair.Key) / operations, HeardByClient.Contains(pair.Key, StringComparer.Ordinal) ? 1 : 0),
            StringComparer.Ordinal);
        StoreCounts before = begin.Store;
        StoreCounts after = end.Store;
        double appends = after.AppendCommits - before.AppendCommits;
        double writes = after.WritingTransactions - before.WritingTransactions;
        return new OperationCost(
            messages,
            appends / operations,
            (writes - appends) / operations,
            (after.Events - before.Events) / operations,
            (after.OutboxRows - before.OutboxRows) / operations,
            (after.Commits - before.Commits - writes) / operations,
            end.GrowthSince(begin, "specmesh_handler_retries_total", "reason").GetValueOrDefault("conflict") / operations,
            end.GrowthSince(begin, "http_server_request_duration_seconds_count", "http_route").Where(route => route.Key.StartsWith("/ownership", StringComparison.Ordinal)).Sum(route => route.Value) / operations);
    }
}
