using System.CommandLine;
using System.Text.Json;
using SpecMesh.Cli.Http;

namespace SpecMesh.Cli.Commands;

/// <summary><c>specmesh host …</c></summary>
public static class HostCommands
{
    /// <summary>The command with those below it.</summary>
    public static Command Create(GatewayOptions gateway)
    {
        Command list = new("list", "List the hosts with their capacity and health.");
        list.SetAction((parsed, token) => ListAsync(gateway, parsed, "v1/hosts", "There are no hosts.", token));
        return gateway.AddTo(new Command("host", "The hosts that can run machines.") { list });
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
