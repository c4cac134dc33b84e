using System.Diagnostics;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;
using SpecMesh.EventStore;

namespace SpecMesh.Hosting;

/// <summary>
/// The steps of the protocol at which a test may stop a process, by name. A process that was started with the setting <c>SpecMesh:FaultPoints</c>, a directory, and reaches a
/// point for which the file <c>PROCESS.POINT</c> lies there, renames the file to <c>PROCESS.POINT.reached</c> and waits there until somebody deletes it, at most
/// <see cref="LongestHold"/>. Each file acts once. Without the setting, which is never there by default, nothing is looked for and nothing waits.
/// </summary>
public sealed class FaultPoints
{
    /// <summary>replication-policy has decided to accept an operation, and has not committed it.</summary>
    public const string Accepting = "accepting";

    /// <summary>replication-policy has committed an accepted operation, and none of its messages has left.</summary>
    public const string Accepted = "accepted";

    /// <summary>placement has chosen targets, and has not committed their reservations.</summary>
    public const string Reserving = "reserving";

    /// <summary>placement has committed the reservations, and nobody has been told.</summary>
    public const string Reserved = "reserved";

    /// <summary>replication-policy has decided which replicas to start, and has not committed it.</summary>
    public const string Planning = "planning";

    /// <summary>replication-policy has committed the replicas, and no target has been told.</summary>
    public const string Planned = "planned";

    /// <summary>The source agent has opened a replica's migration stream, and has not sent a page.</summary>
    public const string StreamsOpen = "streams-open";

    /// <summary>The source agent has ended a round, and has not judged it.</summary>
    public const string Round = "round";

    /// <summary>The source agent has suspended the guest, and has not sent the last pages.</summary>
    public const string Suspended = "suspended";

    /// <summary>The target agent has a complete image in its journal, and READY has not left.</summary>
    public const string Ready = "ready";

    /// <summary>The source agent has its vote in its journal, and the vote has not left.</summary>
    public const string Voted = "voted";

    /// <summary>replication-policy has been asked for an ownership append, and has not committed it.</summary>
    public const string Appending = "appending";

    /// <summary>replication-policy has committed an ownership append, and has not answered.</summary>
    public const string Answering = "answering";

    /// <summary>The target agent knows that its commit is durable, and has not resumed the guest.</summary>
    public const string Appended = "appended";

    /// <summary>The target agent has resumed the guest, and nobody has been told.</summary>
    public const string Resumed = "resumed";

    /// <summary>The source agent has destroyed its copy, and has told nobody.</summary>
    public const string SourceDestroyed = "source-destroyed";

    /// <summary>A target agent has destroyed the shell of a replica that did not win, and has told nobody.</summary>
    public const string LosersCleaned = "losers-cleaned";

    /// <summary>replication-policy has committed that nothing of the operation is left, and nobody has been told.</summary>
    public const string Settled = "settled";

    /// <summary>How long a process waits at a point at most: what armed it may have died.</summary>
    public static readonly TimeSpan LongestHold = TimeSpan.FromSeconds(30);

    internal const string Setting = SpecMeshOptions.Section + ":FaultPoints";
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(10);
    private readonly string? directory;
    private readonly MeshRegistry registry;
    private readonly ILogger<FaultPoints> logger;

    /// <summary>Made by the service provider.</summary>
    internal FaultPoints(IConfiguration configuration, MeshRegistry registry, ILogger<FaultPoints> logger)
    {
        directory = configuration[Setting];
        this.registry = registry;
        this.logger = logger;
        if (directory is not null)
        {
            Log.FaultPointsOn(logger, directory);
        }
    }

    /// <summary>Every point, in the order in which a migration reaches them.</summary>
    public static IReadOnlyList<string> Names { get; } =
    [
        Accepting, Accepted, Reserving, Reserved, Planning, Planned, StreamsOpen, Round, Suspended, Ready, Voted, Appending, Answering, Appended, Resumed, SourceDestroyed,
        LosersCleaned, Settled,
    ];

    /// <summary>Waits at the point if somebody has armed it for this process.</summary>
    /// <param name="process">Name of the service, or of the agent's host.</param>
    /// <param name="point">One of <see cref="Names"/>.</param>
    /// <param name="operationId">The operation, for the log.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async Task ReachAsync(string process, string point, Guid operationId, CancellationToken cancellationToken)
    {
        if (Take(process, point, operationId) is not { } reached)
        {
            return;
        }

        Stopwatch held = Stopwatch.StartNew();
        while (File.Exists(reached) && held.Elapsed < LongestHold)
        {
            await Task.Delay(Pause, cancellationToken);
        }
    }

    /// <summary>As <see cref="ReachAsync"/>, for a thread that must not do anything else meanwhile.</summary>
    public void Reach(string process, string point, Guid operationId) => ReachAsync(process, point, operationId, CancellationToken.None).GetAwaiter().GetResult();

    /// <summary>The points before a commit that the messages in the unit of work stand for.</summary>
    internal Task BeforeCommitAsync(string service, UnitOfWork work, CancellationToken cancellationToken) =>
        ReachAllAsync(service, work.Messages, points => points.Before, cancellationToken);

    /// <summary>The points after a commit that the messages stand for, which are about to leave.</summary>
    internal Task BeforePublishAsync(string service, IReadOnlyList<OutboxMessage> messages, CancellationToken cancellationToken) =>
        ReachAllAsync(service, messages.Select(message => message.Message), points => points.After, cancellationToken);

    private async Task ReachAllAsync(string service, IEnumerable<object> messages, Func<CommitPoints, string?> pointOf, CancellationToken cancellationToken)
    {
        if (directory is null)
        {
            return;
        }

        foreach (object message in messages)
        {
            if (registry.CommitPoints.TryGetValue(message.GetType(), out CommitPoints? points) && pointOf(points) is { } point)
            {
                await ReachAsync(service, point, points.OperationOf(message), cancellationToken);
            }
        }
    }

    /// <summary>The file whose deletion ends the wait; null when the point is not armed.</summary>
    private string? Take(string process, string point, Guid operationId)
    {
        if (directory is null)
        {
            return null;
        }

        string armed = Path.Combine(directory, $"{process}.{point}");
        if (!File.Exists(armed))
        {
            return null;
        }

        try
        {
            File.Move(armed, armed + ".reached");
        }
        catch (FileNotFoundException)
        {
            // Another replica of the same process was here first.
            return null;
        }

        Log.FaultPointReached(logger, process, point, operationId);
        return armed + ".reached";
    }
}

/// <summary>The points at the two sides of a service's commit: a message of this type is what the decision sends.</summary>
/// <param name="Before">Reached before the commit; null for none.</param>
/// <param name="After">Reached after the commit, before the message leaves the outbox.</param>
/// <param name="OperationOf">The operation that a message is about.</param>
internal sealed record CommitPoints(string? Before, string After, Func<object, Guid> OperationOf);
