using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.ReplicationPolicy;

/// <summary><c>DELETE /v1/operations/{id}</c>: the same decision as for <see cref="CancelSpecOp"/> from the bus. Idempotent in every state.</summary>
public static class CancelOperation
{
    public static void MapCancelOperation(this IEndpointRouteBuilder app) => app.MapDelete("/v1/operations/{id:guid}", HandleAsync);

    private static async Task<IResult> HandleAsync(Guid id, HttpContext http, SagaRunner<SpecOpState> operations, CancellationToken cancellationToken)
    {
        SpecOpState state = await operations.ReadAsync(id, cancellationToken);
        if (state.Accepted is null && state.Refused is null)
        {
            // Over HTTP an id comes from an answer, so no request can be on its way: what would be recorded is only noise.
            return ReadOperations.NotFound(id);
        }

        state = await operations.HandleAndReadAsync(new CancelSpecOp(id, GatewayCredential.ClientOf(http.Request)), cancellationToken);
        return Results.Json(Views.Of(state), ContractJson.Options, statusCode: StatusCodes.Status202Accepted);
    }
}
