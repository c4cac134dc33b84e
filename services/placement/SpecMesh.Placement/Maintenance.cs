using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Speculation.Placement;

namespace SpecMesh.Placement;

/// <summary>Use case: a host goes into maintenance, or comes back.</summary>
internal static class Maintenance
{
    public static async Task HandleAsync(SetHostMaintenance command, HandlerContext context, CancellationToken cancellationToken)
    {
        HostState host = await context.LoadHostAsync(command.HostId, cancellationToken);
        ILogger logger = context.Services.GetRequiredService<ILogger<HostsView>>();
        if (!host.IsRegistered)
        {
            Log.MaintenanceOfUnknownHost(logger, command.HostId, command.RequestedBy);
            return;
        }

        context.Do(command.HostId, HostDecider.Decide(host, command), command);
        Log.MaintenanceSet(logger, command.HostId, command.InMaintenance, command.RequestedBy);
    }
}
