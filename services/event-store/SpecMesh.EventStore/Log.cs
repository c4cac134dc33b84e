using Microsoft.Extensions.Logging;

namespace SpecMesh.EventStore;

/// <summary>Log messages of the event store: ids 1000 to 1099.</summary>
internal static partial class Log
{
    [LoggerMessage(1000, LogLevel.Information, "Event sequence numbers up to {Horizon} are settled: whoever drew the missing ones from {FirstMissing} on has ended without committing them.")]
    public static partial void GapsSettled(ILogger logger, long firstMissing, long horizon);

    [LoggerMessage(1001, LogLevel.Warning, "The outcome of a commit to {Streams} is unknown: the connection was lost before the database answered.")]
    public static partial void CommitUnknown(ILogger logger, string streams, Exception exception);
}
