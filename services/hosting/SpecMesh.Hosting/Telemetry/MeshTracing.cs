using System.Diagnostics;
using SpecMesh.EventStore;

namespace SpecMesh.Hosting;

/// <summary>The library's own spans.</summary>
internal static class MeshTracing
{
    public const string SourceName = "SpecMesh";

    private static readonly ActivitySource Source = new(SourceName);

    /// <summary>
    /// Continues the trace of the decision that caused the message, although another task publishes it, perhaps hours later: the span is the parent of the bus library's own.
    /// Null when nobody records traces.
    /// </summary>
    public static Activity? StartDispatch(OutboxMessage message)
    {
        ActivityContext.TryParse(message.TraceParent, null, isRemote: true, out ActivityContext parent);
        return Source.StartActivity("outbox dispatch", ActivityKind.Producer, parent, [new("specmesh.message", message.Alias)]);
    }
}
