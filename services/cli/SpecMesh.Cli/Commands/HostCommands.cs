using System.CommandLine;
using System.Text.Json;
using SpecMesh.Cli.Http;
using SpecMesh.Contracts;

namespace SpecMesh.Cli.Commands;

/// <summary><c>specmesh host …</c></summary>
public static class HostCommands
{
    /// <summary>The command with those below it.</summary>
    public static Command Create(GatewayOptions gateway)
    {
        Command list = new("list", "List the hosts with their capacity and health.");
        list.SetAction((parsed, token) => ListAsync(gateway, parsed, "v1/hosts", "There are no hosts.", token));
        return gateway.AddTo(new Command("host", "The hosts that can run machines.") { list, Fence(gateway), Maintenance(gateway), Reconcile(gateway) });
    }

    private static Command Fence(GatewayOptions gateway)
    {
        Argument<string> host = new("HOST") { Description = "The host." };
        Option<string> confirm = new("--confirm") { Description = "The host's name again: it is powered off, or cut off from its network and disks.", HelpName = "HOST", Required = true };
        Command fence = new("fence", "Confirm that a silent host is dead, so that its machines are recovered or can be started elsewhere.") { host, confirm };
        fence.Validators.Add(result =>
        {
            if (result.GetValue(confirm) is { } name && name != result.GetValue(host))
            {
                result.AddError($"--confirm must say the name of the host, {result.GetValue(host)}: a host that is fenced while it lives runs its machines twice.");
            }
        });
        fence.SetAction((parsed, token) => ChangeAsync(
            gateway, parsed, parsed.GetRequiredValue(host), "fence", new HostFenceRequest(parsed.GetValue(confirm)), "is confirmed dead; what waited for it goes on", token));
        return fence;
    }

    private static Command Maintenance(GatewayOptions gateway)
    {
        Argument<string> host = new("HOST") { Description = "The host." };
        Argument<string> state = new("STATE") { Description = "on: no new replicas. off: in service again, also after it was fenced." };
        state.AcceptOnlyFromAmong("on", "off");
        Command maintenance = new("maintenance", "Take a host out of service for new replicas, or back into it.") { host, state };
        maintenance.SetAction((parsed, token) =>
        {
            bool on = parsed.GetValue(state) == "on";
            return ChangeAsync(gateway, parsed, parsed.GetRequiredValue(host), "maintenance", new HostMaintenanceRequest(on), on ? "is in maintenance" : "is in service", token);
        });
        return maintenance;
    }

    private static Command Reconcile(GatewayOptions gateway)
    {
        Argument<string> host = new("HOST") { Description = "The host." };
        Option<bool> nothingUnknown = new("--nothing-unknown")
        {
            Description = "You have looked: no guest runs there that its agent does not find. Needed where the agent's state directory was lost.",
        };
        Command reconcile = new("reconcile", "Have a host compare its guests with what is recorded now.") { host, nothingUnknown };
        reconcile.SetAction((parsed, token) => ChangeAsync(
            gateway, parsed, parsed.GetRequiredValue(host), "reconcile", new HostReconcileRequest(parsed.GetValue(nothingUnknown)), "is asked", token));
        return reconcile;
    }

    private static async Task<int> ChangeAsync<T>(GatewayOptions gateway, ParseResult parsed, string host, string change, T request, string done, CancellationToken cancellationToken)
    {
        using GatewayClient client = gateway.Connect(parsed);
        JsonElement answer = await client.PostAsync($"v1/hosts/{Uri.EscapeDataString(host)}/{change}", request, cancellationToken);
        if (parsed.GetValue(gateway.Json))
        {
            Output.Json(answer);
        }
        else
        {
            Console.WriteLine($"{host} {done}.");
        }

        return 0;
    }

    /// <summary>Gets a list and shows it.</summary>
    internal static async Task<int> ListAsync(GatewayOptions gateway, ParseResult parsed, string path, string nothing, CancellationToken cancellationToken)
    {
        using GatewayClient client = gateway.Connect(parsed);
        JsonElement answer = await client.GetAsync(path, cancellationToken);
        if (parsed.GetValue(gateway.Json))
        {
            Output.Json(answer);
        }
        else
        {
            Views.List(answer, nothing);
        }

        return 0;
    }
}
