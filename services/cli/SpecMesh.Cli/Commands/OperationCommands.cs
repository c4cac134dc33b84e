using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using SpecMesh.Cli.Http;

namespace SpecMesh.Cli.Commands;

/// <summary><c>specmesh op …</c></summary>
public static class OperationCommands
{
    /// <summary>The command with those below it.</summary>
    public static Command Create(GatewayOptions gateway) =>
        gateway.AddTo(new Command("op", "Operations.") { List(gateway), Show(gateway), Watch(gateway), Cancel(gateway) });

    private static Command List(GatewayOptions gateway)
    {
        Option<int?> limit = new("--limit") { Description = "How many, the latest first.", HelpName = "N" };
        Command list = new("list", "List the latest operations.") { limit };
        list.SetAction((parsed, token) =>
        {
            string query = parsed.GetValue(limit) is { } count ? "?limit=" + count.ToString(CultureInfo.InvariantCulture) : "";
            return HostCommands.ListAsync(gateway, parsed, "v1/operations" + query, "There are no operations.", token);
        });
        return list;
    }

    private static Command Show(GatewayOptions gateway)
    {
        Argument<Guid> id = Id();
        Command show = new("show", "Show one operation with its replicas.") { id };
        show.SetAction(async (parsed, token) =>
        {
            using GatewayClient client = gateway.Connect(parsed);
            Write(await client.GetAsync($"v1/operations/{parsed.GetValue(id)}", token), parsed.GetValue(gateway.Json));
            return 0;
        });
        return show;
    }

    private static Command Watch(GatewayOptions gateway)
    {
        Argument<Guid> id = Id();
        Command watch = new("watch", "Follow an operation's event stream to its outcome; exit status 0 when a replica won.") { id };
        watch.SetAction(async (parsed, token) =>
        {
            using GatewayClient client = gateway.Connect(parsed);
            return await OperationWatch.FollowAsync(client, parsed.GetValue(id), parsed.GetValue(gateway.Json), token);
        });
        return watch;
    }

    private static Command Cancel(GatewayOptions gateway)
    {
        Argument<Guid> id = Id();
        Command cancel = new("cancel", "End an operation unless a replica has already won.") { id };
        cancel.SetAction(async (parsed, token) =>
        {
            using GatewayClient client = gateway.Connect(parsed);
            JsonElement answer = await client.CancelAsync(parsed.GetValue(id), token);
            if (parsed.GetValue(gateway.Json))
            {
                Output.Json(answer);
            }
            else
            {
                Console.WriteLine($"{parsed.GetValue(id)}: its end has been asked for");
            }

            return 0;
        });
        return cancel;
    }

    private static Argument<Guid> Id() => new("OPERATION") { Description = "Id of the operation." };

    private static void Write(JsonElement answer, bool json)
    {
        if (json)
        {
            Output.Json(answer);
        }
        else
        {
            Views.Detail(answer);
        }
    }
}
