using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.ReplicationPolicy;

/// <summary><c>GET /v1/operations</c>, <c>GET /v1/operations/{id}</c> and <c>GET /v1/vms</c>.</summary>
public static class ReadOperations
{
    private const int DefaultLimit = 50;
    private const int MaxLimit = 500;

    public static void MapReadOperations(this IEndpointRouteBuilder app)
    {
        app.MapGet("/v1/operations", ListAsync);
        app.MapGet("/v1/operations/{id:guid}", async (Guid id, SagaRunner<SpecOpState> operations, CancellationToken token) =>
        {
            SpecOpState state = await operations.ReadAsync(id, token);
            return state.Phase == SpecOpPhase.None ? NotFound(id) : Results.Json(Views.Of(state), ContractJson.Options);
        });
    }

    public static void MapReadVms(this IEndpointRouteBuilder app)
    {
        app.MapGet("/v1/vms", (OperationDirectory directory) => Results.Json(directory.Vms.Select(vm => Views.Of(vm, directory.SuspicionOf(vm.OwnerHostId))), ContractJson.Options));
        app.MapGet("/v1/vms/{vmId}", async (string vmId, Ownership ownership, OperationDirectory directory, CancellationToken token) =>
        {
            OwnershipView? vm = SpecOpRules.IsName(vmId) ? await ownership.ReadAsync(vmId, token) : null;
            return vm?.Vm is null
                ? SubmitOperation.Problem(StatusCodes.Status404NotFound, "vmId", new Reason("unknown-vm", "There is no machine of that name."))
                : Results.Json(Views.Of(vm, directory.SuspicionOf(vm.OwnerHostId)), ContractJson.Options);
        });
    }

    internal static IResult NotFound(Guid id) =>
        SubmitOperation.Problem(StatusCodes.Status404NotFound, "id", new Reason("unknown-operation", $"There is no operation {id}."));

    private static async Task<IResult> ListAsync(string? limit, OperationDirectory directory, SagaRunner<SpecOpState> operations, CancellationToken cancellationToken)
    {
        int count = DefaultLimit;
        if (limit is not null && (!int.TryParse(limit, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out count) || count is < 1 or > MaxLimit))
        {
            return SubmitOperation.Problem(StatusCodes.Status400BadRequest, "limit", new Reason("out-of-range", $"The limit is 1 to {MaxLimit}."));
        }

        List<OperationView> views = [];
        foreach (Guid id in directory.Latest(count))
        {
            views.Add(Views.Of(await operations.ReadAsync(id, cancellationToken)) with { Verdicts = null });
        }

        return Results.Json(views, ContractJson.Options);
    }
}
