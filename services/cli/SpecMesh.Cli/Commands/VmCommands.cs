using System.CommandLine;
using System.Text.Json;
using SpecMesh.Cli.Http;
using SpecMesh.Contracts;

namespace SpecMesh.Cli.Commands;

/// <summary><c>specmesh vm …</c></summary>
public static class VmCommands
{
    /// <summary>The command with those below it.</summary>
    public static Command Create(GatewayOptions gateway)
    {
        Command list = new("list", "List the machines with their owners.");
        list.SetAction((parsed, token) => HostCommands.ListAsync(gateway, parsed, "v1/vms", "There are no machines.", token));
        return gateway.AddTo(new Command("vm", "Virtual machines.") { list, Start(gateway), Migrate(gateway) });
    }

    private static Command Start(GatewayOptions gateway)
    {
        Submission submission = new();
        Option<long?> memory = new("--memory") { Description = "Guest memory, for a machine not defined before: 512MiB.", HelpName = "SIZE", CustomParser = Quantities.Bytes };
        Option<double?> writeRate = new("--write-rate") { Description = "Pages per second that a self-verifying process guest rewrites.", HelpName = "PAGES" };
        Option<ulong?> seed = new("--seed") { Description = "Seed of a self-verifying process guest's pages.", HelpName = "N" };
        Command start = new("start", "Power a machine on, raced on several hosts.") { memory, writeRate, seed };
        submission.AddTo(start);
        start.Validators.Add(result =>
        {
            if (result.GetResult(memory) is null && (result.GetResult(writeRate) is not null || result.GetResult(seed) is not null))
            {
                result.AddError("--write-rate and --seed describe a new machine: give --memory with them.");
            }
        });
        start.SetAction((parsed, token) =>
        {
            VmDefinition? vm = parsed.GetValue(memory) is { } bytes ? new VmDefinition(bytes, parsed.GetValue(writeRate) ?? 0, parsed.GetValue(seed) ?? 0) : null;
            return SubmitAsync(gateway, submission, parsed, OperationKind.PowerOn, vm, token);
        });
        return start;
    }

    private static Command Migrate(GatewayOptions gateway)
    {
        Submission submission = new();
        Command migrate = new("migrate", "Move a running machine, raced to several hosts.");
        submission.AddTo(migrate);
        migrate.SetAction((parsed, token) => SubmitAsync(gateway, submission, parsed, OperationKind.Migrate, null, token));
        return migrate;
    }

    private static async Task<int> SubmitAsync(
        GatewayOptions gateway, Submission submission, ParseResult parsed, OperationKind kind, VmDefinition? vm, CancellationToken cancellationToken)
    {
        bool json = parsed.GetValue(gateway.Json);
        using GatewayClient client = gateway.Connect(parsed);
        string key = parsed.GetValue(submission.IdempotencyKey) ?? Guid.NewGuid().ToString();
        JsonElement answer = await client.SubmitAsync(submission.Request(parsed, kind, vm), key, cancellationToken);
        if (!answer.TryGetProperty("operationId", out JsonElement id) || !id.TryGetGuid(out Guid operationId))
        {
            throw new CommandException("The gateway's answer has no operationId.");
        }

        if (!parsed.GetValue(submission.Wait))
        {
            if (json)
            {
                Output.Json(answer);
            }
            else
            {
                Console.WriteLine(operationId);
            }

            return 0;
        }

        return await OperationWatch.FollowAsync(client, operationId, json, cancellationToken);
    }
}
