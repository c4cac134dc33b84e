using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Http.Features;
using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.ReplicationPolicy;

/// <summary><c>POST /v1/operations</c>: the same decision as for <see cref="SubmitSpecOp"/> from the bus; 202 means that it is durable.</summary>
public static partial class SubmitOperation
{
    private const string KeyHeader = "Idempotency-Key";
    private const int MaxBodyBytes = 1 << 20;

    public static void MapSubmitOperation(this IEndpointRouteBuilder app) => app.MapPost("/v1/operations", HandleAsync);

    private static async Task<IResult> HandleAsync(HttpContext http, SagaRunner<SpecOpState> operations, CancellationToken cancellationToken)
    {
        string key = http.Request.Headers[KeyHeader].ToString();
        if (key.Length > 255 || key.Any(c => c is < ' ' or > '~'))
        {
            return Problem(StatusCodes.Status400BadRequest, KeyHeader, new Reason("invalid", "An idempotency key is 1 to 255 printable ASCII characters."));
        }

        OperationRequest? body;
        try
        {
            body = await ReadAsync(http.Request, cancellationToken);
        }
        catch (JsonException error)
        {
            return Problem(StatusCodes.Status400BadRequest, FieldOf(error), new Reason("invalid-json", "The body is not what this operation takes: " + error.Message));
        }
        catch (BadHttpRequestException error)
        {
            return Problem(error.StatusCode, "", new Reason("bad-request", error.Message));
        }

        if (body?.Kind is null)
        {
            return Problem(StatusCodes.Status400BadRequest, "kind", new Reason("required", "Say what to do: PowerOn or Migrate."));
        }

        string? client = GatewayCredential.ClientOf(http.Request);
        SubmitSpecOp request = new(
            key.Length == 0 ? Guid.CreateVersion7() : IdOf(client ?? "", key),
            body.Kind.Value,
            body.VmId ?? "",
            body.Sq,
            body.Targets,
            body.Cost,
            body.TargetChoice,
            body.Manager,
            body.Vm,
            client,
            body.Replication);
        return Answer(http, request, await operations.HandleAndReadAsync(request, cancellationToken));
    }

    private static IResult Answer(HttpContext http, SubmitSpecOp request, SpecOpState state)
    {
        if (state.Accepted is { } accepted)
        {
            if (accepted.Fingerprint != SpecOpRules.Fingerprint(request))
            {
                return Problem(StatusCodes.Status409Conflict, KeyHeader, new Reason("operation-id-reused", "This idempotency key was used for another request."));
            }

            http.Response.Headers.Location = $"/v1/operations/{request.OperationId}";
            return Results.Json(new OperationAccepted(request.OperationId), ContractJson.Options, statusCode: StatusCodes.Status202Accepted);
        }

        SpecOpRefused refused = state.Refused ?? throw new InvalidOperationException("A request was neither accepted nor refused.");
        int status = refused.Reason.Code switch
        {
            "unknown-vm" => StatusCodes.Status404NotFound,
            "operation-open" or "already-running" or "owner-unknown" or "not-running" or "already-defined" => StatusCodes.Status409Conflict,
            _ => StatusCodes.Status400BadRequest,
        };
        return Problem(status, refused.Field, refused.Reason);
    }

    private static async Task<OperationRequest?> ReadAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        if (request.ContentLength > MaxBodyBytes)
        {
            throw new BadHttpRequestException("The body is larger than 1 MiB.", StatusCodes.Status413PayloadTooLarge);
        }

        if (!request.HasJsonContentType())
        {
            throw new BadHttpRequestException("The body must be application/json.", StatusCodes.Status415UnsupportedMediaType);
        }

        if (request.HttpContext.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
        {
            // For a body whose length is not told.
            limit.MaxRequestBodySize = MaxBodyBytes;
        }

        return await JsonSerializer.DeserializeAsync<OperationRequest>(request.Body, ContractJson.Strict, cancellationToken);
    }

    /// <summary>A problem (RFC 9457) that names the field.</summary>
    internal static IResult Problem(int status, string field, Reason reason) => Results.Problem(
        statusCode: status,
        title: reason.Detail,
        type: $"urn:specmesh:problem:{reason.Code}",
        extensions: new Dictionary<string, object?> { ["field"] = field, ["code"] = reason.Code });

    /// <summary>The same key of the same client is the same operation: its id is a digest of both (RFC 9562, version 8 over SHA-256).</summary>
    private static Guid IdOf(string client, string key)
    {
        Span<byte> hash = stackalloc byte[32];
        SHA256.HashData(Encoding.UTF8.GetBytes($"{client.Length}|{client}|{key}"), hash);
        hash[6] = (byte)((hash[6] & 0x0F) | 0x80);
        hash[8] = (byte)((hash[8] & 0x3F) | 0x80);
        return new Guid(hash[..16], bigEndian: true);
    }

    private static string FieldOf(JsonException error)
    {
        Match unknown = UnknownProperty().Match(error.Message);
        string path = (error.Path ?? "$").TrimStart('$').TrimStart('.');
        return unknown.Success && !path.EndsWith(unknown.Groups[1].Value, StringComparison.Ordinal) ? string.Join('.', new[] { path, unknown.Groups[1].Value }.Where(part => part.Length > 0)) : path;
    }

    [GeneratedRegex("^The JSON property '([^']*)'")]
    private static partial Regex UnknownProperty();
}
