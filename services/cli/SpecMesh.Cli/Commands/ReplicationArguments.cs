using System.CommandLine;
using SpecMesh.Contracts;

namespace SpecMesh.Cli.Commands;

/// <summary>How the number of replicas is chosen, as options. What is allowed in them is the service's to say.</summary>
public sealed class ReplicationArguments
{
    private readonly Option<string?> policy = new("--replication")
    {
        Description = "How the number of replicas is chosen: fixed, adaptive (the fewest that reach --epsilon), hedged (one after the other).",
        HelpName = "NAME",
    };

    private readonly Option<double?> epsilon = new("--epsilon") { Description = "For adaptive: share of operations that may fail: 1%.", HelpName = "SHARE", CustomParser = Quantities.Share };
    private readonly Option<int?> maxReplicas = new("--max-replicas") { Description = "For adaptive: no more replicas than this.", HelpName = "N" };
    private readonly Option<double?> delay = new("--hedge-delay") { Description = "For hedged: time between two starts: 20s.", HelpName = "DURATION", CustomParser = Quantities.Seconds };

    /// <summary>Adds the options to a command.</summary>
    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[policy, epsilon, maxReplicas, delay])
        {
            command.Options.Add(option);
        }

        command.Validators.Add(result =>
        {
            if (result.GetResult(policy) is null && ((Option[])[epsilon, maxReplicas, delay]).Any(option => result.GetResult(option) is not null))
            {
                result.AddError("--epsilon, --max-replicas and --hedge-delay belong to a policy: give --replication with them.");
            }
        });
    }

    /// <summary>The wish that the options describe; null when none is given.</summary>
    public ReplicationWish? Read(ParseResult parsed) => parsed.GetValue(policy) is { } name
        ? new ReplicationWish(name, parsed.GetValue(epsilon), parsed.GetValue(maxReplicas), parsed.GetValue(delay))
        : null;
}
