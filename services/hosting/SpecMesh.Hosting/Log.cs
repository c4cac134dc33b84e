using Microsoft.Extensions.Logging;

namespace SpecMesh.Hosting;

/// <summary>Log lines of the hosting library: ids 1000 to 1099, never used again for something else.</summary>
internal static partial class Log
{
    [LoggerMessage(1000, LogLevel.Information, "Event store {Store} is open.")]
    public static partial void StoreOpened(ILogger logger, string store);

    [LoggerMessage(1001, LogLevel.Warning, "Event store {Store} is not there yet (attempt {Attempt}); waiting for it.")]
    public static partial void StoreNotThereYet(ILogger logger, Exception exception, string store, int attempt);

    [LoggerMessage(1002, LogLevel.Debug, "{Endpoint} lost a race for an event stream with message {MessageId} (attempt {Attempt}); deciding again.")]
    public static partial void Conflict(ILogger logger, string endpoint, Guid messageId, int attempt);

    [LoggerMessage(1003, LogLevel.Warning, "{Endpoint} cannot reach the event store with message {MessageId} (attempt {Attempt}); trying again.")]
    public static partial void StoreAway(ILogger logger, Exception exception, string endpoint, Guid messageId, int attempt);

    [LoggerMessage(1004, LogLevel.Warning, "The outbox of {Service} could not be published (failure {Failures} in a row); its messages stay and are published again.")]
    public static partial void DispatchFailed(ILogger logger, Exception exception, string service, int failures);

    [LoggerMessage(1005, LogLevel.Error, "{Reader} stands at event {Sequence} (failure {Failures} in a row); trying again.")]
    public static partial void ReaderFailed(ILogger logger, Exception exception, string reader, long sequence, int failures);

    [LoggerMessage(1006, LogLevel.Information, "View {View} has caught up at event {Sequence}.")]
    public static partial void ViewCaughtUp(ILogger logger, string view, long sequence);

    [LoggerMessage(1007, LogLevel.Information, "Traces are exported to {Endpoint}.")]
    public static partial void TracesExported(ILogger logger, string endpoint);

    [LoggerMessage(1008, LogLevel.Error, "Message {MessageId} ({Alias}) of {Service} can never be published and was put aside: {Reason}")]
    public static partial void Undeliverable(ILogger logger, string service, Guid messageId, string alias, string reason);

    [LoggerMessage(1009, LogLevel.Warning, "Fault points are on: whoever may write to {Directory} can stop this process at any step of the protocol.")]
    public static partial void FaultPointsOn(ILogger logger, string directory);

    [LoggerMessage(1010, LogLevel.Warning, "{Process} waits at the fault point {Point}, operation {OperationId}")]
    public static partial void FaultPointReached(ILogger logger, string process, string point, Guid operationId);

    [LoggerMessage(1011, LogLevel.Critical, "The bus has not come back, although the broker at {Host}:{Port} has answered for {Patience}: the process ends, to be started again.")]
    public static partial void BusLost(ILogger logger, string host, int port, TimeSpan patience);
}
