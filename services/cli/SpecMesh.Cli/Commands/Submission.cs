using System.CommandLine;
using SpecMesh.Contracts;

namespace SpecMesh.Cli.Commands;

/// <summary>The arguments of every command that asks for an operation.</summary>
public sealed class Submission
{
    private readonly Argument<string> vm = new("VM") { Description = "Id of the machine." };
    private readonly Option<int?> sq = new("--sq") { Description = "Number of replicas, 1 to 16.", HelpName = "N" };
    private readonly Option<string[]> to = new("--to") { Description = "Hosts that may be chosen, separated by commas; default: any.", HelpName = "HOSTS" };
    private readonly CostArguments cost = new();
    private readonly ReplicationArguments replication = new();
    private readonly Option<string?> targetChoice = new("--target-choice")
    {
        Description = "Policy that picks hosts: random, least-loaded, failure-domains-apart.",
        HelpName = "NAME",
    };

    private readonly Option<string?> manager = new("--manager") { Description = "Manager: speculative, retry-same-server, retry-repick.", HelpName = "NAME" };

    /// <summary>The same key with the same request is the same operation.</summary>
    public Option<string?> IdempotencyKey { get; } = new("--idempotency-key") { Description = "Ask again with the same key without starting twice.", HelpName = "KEY" };

    /// <summary>Stay until the outcome.</summary>
    public Option<bool> Wait { get; } = new("--wait") { Description = "Follow the operation to its outcome." };

    /// <summary>Adds the arguments to a command.</summary>
    public void AddTo(Command command)
    {
        command.Arguments.Add(vm);
        foreach (Option option in (Option[])[sq, to, targetChoice, manager, IdempotencyKey, Wait])
        {
            command.Options.Add(option);
        }

        cost.AddTo(command);
        replication.AddTo(command);
    }

    /// <summary>The request that the arguments describe. What is allowed in it is the service's to say.</summary>
    public OperationRequest Request(ParseResult parsed, OperationKind kind, VmDefinition? definition)
    {
        string[]? targets = parsed.GetResult(to) is null
            ? null
            : [.. parsed.GetValue(to)!.SelectMany(hosts => hosts.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))];
        return new OperationRequest(
            kind,
            parsed.GetValue(vm)!,
            parsed.GetValue(sq),
            targets,
            cost.Read(parsed),
            parsed.GetValue(targetChoice),
            parsed.GetValue(manager),
            definition,
            replication.Read(parsed));
    }
}
