using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Speculation.Placement;

namespace SpecMesh.Placement;

/// <summary>Use case: an operation has its outcome, and later: everything of it is cleaned up. Both are read from its event stream, so their order does not matter.</summary>
internal static class EndedOperation
{
    public static Task HandleAsync(SpecOpCompleted message, HandlerContext context, CancellationToken cancellationToken) =>
        EndAsync(message.OperationId, message, context, cancellationToken);

    public static Task HandleAsync(SpecOpSettled message, HandlerContext context, CancellationToken cancellationToken) =>
        EndAsync(message.OperationId, message, context, cancellationToken);

    private static async Task EndAsync(Guid operationId, object message, HandlerContext context, CancellationToken cancellationToken)
    {
        OperationFacts operation = await context.LoadOperationAsync(operationId, cancellationToken);

        // Before the settlement only the winner's host is concerned, whoever owns the machine.
        string? owner = operation.VmId is null || operation.Standing != OperationStanding.Settled ? null : (await context.LoadMachineAsync(operation.VmId, cancellationToken)).OwnerHostId;
        Fleet fleet = await context.LoadHostsAsync(Concerned(operation, context), cancellationToken);
        context.Do(ReservationDecider.DecideEnd(fleet, operation, owner), message);
    }

    /// <summary>Hosts of its replicas, its source, and hosts that were reserved for it but never planned.</summary>
    private static IEnumerable<string> Concerned(OperationFacts operation, HandlerContext context)
    {
        HostsView view = context.Services.GetRequiredService<HostsView>();
        IEnumerable<string> holding = view.Hosts.Where(host => host.Value.State.Reservations.ContainsKey(operation.OperationId)).Select(host => host.Key);
        IEnumerable<string> named = new[] { operation.SourceHostId, operation.WinnerHostId }.OfType<string>();
        return operation.Replicas.Values.Concat(named).Concat(holding);
    }
}
