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
        SpecOpState state = await operations.HandleAndReadAsync(new CancelSpecOp(id, GatewayCredential.ClientOf(http.Request)), cancellationToken);
        return state.Accepted is null && state.Refused is null
            ? SubmitOperation.Problem(StatusCodes.Status404NotFound, "id", new Reason("unknown-operation", $"There is no operation {id}."))
            : Results.Json(Views.Of(state), ContractJson.Options, statusCode: StatusCodes.Status202Accepted);
    }
}
