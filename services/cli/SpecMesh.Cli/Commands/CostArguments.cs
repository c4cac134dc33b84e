using System.CommandLine;
using SpecMesh.Contracts;

namespace SpecMesh.Cli.Commands;

/// <summary>What an operation and its replicas may cost, as options. What is allowed in them is the service's to say.</summary>
public sealed class CostArguments
{
    private readonly Option<double?> timeout = new("--timeout") { Description = "What each replica may take before it is aborted: 60s, 2m.", HelpName = "DURATION", CustomParser = Quantities.Seconds };
    private readonly Option<long?> maxBytes = new("--max-bytes") { Description = "What each replica may send before it is aborted: 2GiB.", HelpName = "SIZE", CustomParser = Quantities.Bytes };
    private readonly Option<double?> maxCpu = new("--max-cpu") { Description = "Processor time that each replica may take at the source: 20s.", HelpName = "DURATION", CustomParser = Quantities.Seconds };
    private readonly Option<double?> maxMemory = new("--max-memory") { Description = "Memory times seconds that each replica may hold on its target, in GiB*s: 120.", HelpName = "GIB-SECONDS" };
    private readonly Option<long?> maxOperationBytes = new("--max-operation-bytes")
    {
        Description = "What all replicas together may send; beyond it the one that would end last is aborted.",
        HelpName = "SIZE",
        CustomParser = Quantities.Bytes,
    };

    private readonly Option<double?> minProgress = new("--min-progress")
    {
        Description = "Share of its siblings' rate that a replica must reach: 5%. Also aborts replicas that would end far later than the best, or never.",
        HelpName = "SHARE",
        CustomParser = Quantities.Share,
    };

    private readonly Option<bool> abortLast = new("--abort-last") { Description = "Abort the last replica too when it costs too much; otherwise it is kept." };

    /// <summary>Adds the options to a command.</summary>
    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[timeout, maxBytes, maxCpu, maxMemory, maxOperationBytes, minProgress, abortLast])
        {
            command.Options.Add(option);
        }
    }

    /// <summary>The limits that the options describe; null when none is given.</summary>
    public CostLimits? Read(ParseResult parsed)
    {
        CostLimits limits = new(
            parsed.GetValue(timeout),
            parsed.GetValue(maxBytes),
            parsed.GetValue(maxCpu),
            parsed.GetValue(maxMemory),
            parsed.GetValue(maxOperationBytes),
            MinProgress: parsed.GetValue(minProgress),
            AbortLast: parsed.GetValue(abortLast) ? true : null);
        return limits == new CostLimits() ? null : limits;
    }
}
