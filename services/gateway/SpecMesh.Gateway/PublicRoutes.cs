using SpecMesh.Contracts;
using Yarp.ReverseProxy.Configuration;

namespace SpecMesh.Gateway;

/// <summary>One answer that a client may get.</summary>
/// <param name="Status">HTTP status.</param>
/// <param name="Meaning">A sentence.</param>
/// <param name="Body">Contract, or array of a contract, that the body holds; null for none, or for what is not one JSON document.</param>
/// <param name="MediaType">Type of the body.</param>
internal sealed record PublicAnswer(int Status, string Meaning, Type? Body = null, string MediaType = "application/json");

/// <summary>One method of a public path.</summary>
/// <param name="Method">HTTP method.</param>
/// <param name="Summary">What it does.</param>
/// <param name="Body">Contract that the request's body holds; null for none.</param>
/// <param name="Answers">Answers beside the problems that every method may give.</param>
/// <param name="QueryParameters">Optional parameters in the query.</param>
/// <param name="HeaderParameters">Optional parameters in headers.</param>
internal sealed record PublicMethod(
    string Method,
    string Summary,
    Type? Body,
    IReadOnlyList<PublicAnswer> Answers,
    IReadOnlyList<string>? QueryParameters = null,
    IReadOnlyList<string>? HeaderParameters = null);

/// <summary>One public path.</summary>
/// <param name="Id">Name of the route.</param>
/// <param name="Path">Pattern; a parameter matches one segment.</param>
/// <param name="Cluster">Service that answers.</param>
/// <param name="Methods">What the path takes; anything else is 405.</param>
internal sealed record PublicRoute(string Id, string Path, string Cluster, IReadOnlyList<PublicMethod> Methods);

/// <summary>
/// The whole public interface. What is not listed is not reachable through the gateway; the agents' ownership calls are left out on purpose.
/// Both the routing and the OpenAPI document are made from this table.
/// </summary>
internal static class PublicRoutes
{
    public const string ReplicationPolicy = "replication-policy";
    public const string ReplicationPolicyEvents = "replication-policy-events";
    public const string Placement = "placement";

    /// <summary>A live operation may be silent for long; a service that still is there sends comments, so this only ends connections to one that is gone.</summary>
    private static readonly TimeSpan LongestSilence = TimeSpan.FromHours(1);

    private static readonly PublicAnswer WrongField = new(400, "A field is wrong; the member 'field' names it.");
    private static readonly PublicAnswer NoOperation = new(404, "There is no such operation.");

    private static readonly PublicAnswer NoHost = new(404, "There is no such host.");

    public static IReadOnlyList<PublicRoute> All { get; } =
    [
        new("operations", "/v1/operations", ReplicationPolicy,
        [
            new("GET", "Lists operations, the latest first.", null, [new(200, "The operations.", typeof(OperationView[])), WrongField], QueryParameters: ["limit"]),
            new("POST", "Submits an operation. The same Idempotency-Key with the same body is the same operation.", typeof(OperationRequest),
            [
                new(202, "The operation is accepted, or was before; the header Location says where it can be followed.", typeof(OperationAccepted)),
                WrongField,
                new(404, "There is no such machine or host; the member 'field' names which."),
                new(409, "The machine is in another operation, its state does not allow this one, or the idempotency key belongs to another body."),
                new(415, "The body is not JSON."),
            ], HeaderParameters: ["Idempotency-Key"]),
        ]),
        new("operation", "/v1/operations/{id}", ReplicationPolicy,
        [
            new("GET", "Shows an operation with its replicas.", null, [new(200, "The operation.", typeof(OperationView)), NoOperation]),
            new("DELETE", "Cancels the operation unless a replica has won already. Idempotent.", null,
                [new(202, "The operation, which the cancellation may have ended or come too late for.", typeof(OperationView)), NoOperation]),
        ]),
        new("operation-events", "/v1/operations/{id}/events", ReplicationPolicyEvents,
        [
            new("GET", "The operation's event stream as server-sent events, from the first one, or from after the event that Last-Event-ID names.", null,
                [new(200, "Events as they are recorded; the connection ends when the operation is settled.", null, "text/event-stream"), WrongField, NoOperation],
                HeaderParameters: ["Last-Event-ID"]),
        ]),
        new("vms", "/v1/vms", ReplicationPolicy, [new("GET", "Lists machines with their owners.", null, [new(200, "The machines.", typeof(VmView[]))])]),
        new("vm", "/v1/vms/{vmId}", ReplicationPolicy,
            [new("GET", "Shows who may run a machine.", null, [new(200, "The machine.", typeof(VmView)), new(404, "There is no such machine.")])]),
        new("hosts", "/v1/hosts", Placement,
            [new("GET", "Lists hosts with their capacity, reservations, health and guests.", null, [new(200, "The hosts.", typeof(HostView[]))])]),
        new("host-fence", "/v1/hosts/{hostId}/fence", Placement,
            [new("POST", "Confirms that a silent host is dead: powered off, or cut off from its network and disks. Its machines are recovered or off afterwards.", typeof(HostFenceRequest),
                [new(202, "Recorded; what waited for the host is released.", typeof(HostChanged)), WrongField, NoHost, new(409, "The host is not silent: it runs its machines.")])]),
        new("host-maintenance", "/v1/hosts/{hostId}/maintenance", Placement,
            [new("POST", "Takes a host out of service for new replicas, or back into it.", typeof(HostMaintenanceRequest), [new(202, "Recorded.", typeof(HostChanged)), WrongField, NoHost])]),
        new("host-reconcile", "/v1/hosts/{hostId}/reconcile", Placement,
            [new("POST", "Has the host's agent compare its guests with the event streams now.", typeof(HostReconcileRequest), [new(202, "The agent is asked.", typeof(HostChanged)), WrongField, NoHost])]),
    ];

    public static IReadOnlyList<RouteConfig> Routes() =>
    [
        .. All.Select(route => new RouteConfig
        {
            RouteId = route.Id,
            ClusterId = route.Cluster,
            Match = new RouteMatch { Path = route.Path, Methods = [.. route.Methods.Select(method => method.Method)] },
        }),
    ];

    public static IReadOnlyList<ClusterConfig> Clusters(GatewayOptions options)
    {
        TimeSpan answer = TimeSpan.FromSeconds(options.AnswerSeconds);
        return
        [
            Cluster(ReplicationPolicy, options.ReplicationPolicyUrl, answer, options.UpstreamHttp2),
            Cluster(ReplicationPolicyEvents, options.ReplicationPolicyUrl, LongestSilence, options.UpstreamHttp2),
            Cluster(Placement, options.PlacementUrl, answer, options.UpstreamHttp2),
        ];
    }

    private static ClusterConfig Cluster(string id, string address, TimeSpan silence, bool http2) => new()
    {
        ClusterId = id,
        Destinations = new Dictionary<string, DestinationConfig>(StringComparer.Ordinal) { [id] = new() { Address = address } },
        HttpRequest = new Yarp.ReverseProxy.Forwarder.ForwarderRequestConfig
        {
            ActivityTimeout = silence,
            AllowResponseBuffering = false,
            Version = http2 ? System.Net.HttpVersion.Version20 : System.Net.HttpVersion.Version11,
            VersionPolicy = http2 ? HttpVersionPolicy.RequestVersionExact : HttpVersionPolicy.RequestVersionOrHigher,
        },
    };
}
