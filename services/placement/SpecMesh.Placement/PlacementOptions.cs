using Microsoft.Extensions.Options;
using SpecMesh.Speculation.Costs;
using SpecMesh.Speculation.Placement;
using SpecMesh.Speculation.Replication;

namespace SpecMesh.Placement;

/// <summary>The configuration section <c>SpecMesh:Placement</c>: what holds for the speculation of all operations together.</summary>
public sealed record PlacementOptions
{
    public const string Section = "SpecMesh:Placement";
    public const double MaxBurstReplicas = 1e6;
    public const double MaxSeconds = 86_400;

    /// <summary>Name of the cluster's budget for speculative replicas: <c>none</c> or <c>token-bucket</c>.</summary>
    public string Budget { get; init; } = SpeculationPolicy.NoBudget;

    /// <summary>Speculative replicas that a hundred operations earn, 0 to 1000.</summary>
    public double BudgetSharePercent { get; init; } = 100 * BudgetOptions.Default.Share;

    /// <summary>Speculative replicas that can be saved up, 0 to 1000000. A new cluster begins with as many.</summary>
    public double BudgetBurstReplicas { get; init; } = BudgetOptions.Default.Burst;

    /// <summary>Speculative replicas that time alone earns each second, 0 to 1000000.</summary>
    public double BudgetReplicasPerSecond { get; init; } = BudgetOptions.Default.PerSecond;

    /// <summary>An adaptive operation gets fewer replicas than the one before only when they are expected to fail together less often than this share of its epsilon; above 0, at most 1, which is no hysteresis.</summary>
    public double AdaptiveLowerMargin { get; init; } = AdaptiveOptions.Default.LowerMargin;

    /// <summary>Seconds after which an avoided host of which nothing was heard is tried by one replica more, up to 86400; 0: never.</summary>
    public double ProbeAfterSeconds { get; init; } = ProbeOptions.Default.AfterSeconds;

    /// <summary>Seconds between two such replicas anywhere in the cluster, 0 to 86400.</summary>
    public double ProbeEverySeconds { get; init; } = ProbeOptions.Default.EverySeconds;

    /// <summary>The same for the pure core.</summary>
    public SpeculationPolicy ToPolicy() => new(
        Budget == SpeculationPolicy.TokenBucket ? new BudgetOptions(BudgetSharePercent / 100, BudgetBurstReplicas, BudgetReplicasPerSecond) : null,
        AdaptiveLowerMargin,
        ProbeAfterSeconds > 0 ? new ProbeOptions(ProbeAfterSeconds, ProbeEverySeconds) : null);
}

/// <summary>Checks the section and names every wrong setting at once.</summary>
internal sealed class PlacementOptionsValidator : IValidateOptions<PlacementOptions>
{
    public ValidateOptionsResult Validate(string? name, PlacementOptions options)
    {
        List<string> errors = [];
        if (!SpeculationPolicy.BudgetNames.Contains(options.Budget, StringComparer.Ordinal))
        {
            errors.Add($"{PlacementOptions.Section}:Budget is '{options.Budget}'; known are: {string.Join(", ", SpeculationPolicy.BudgetNames)}.");
        }

        Check(errors, nameof(options.BudgetSharePercent), options.BudgetSharePercent, "from 0 to 1000", share => share is >= 0 and <= 1000);
        Check(errors, nameof(options.BudgetBurstReplicas), options.BudgetBurstReplicas, "from 0 to 1000000", burst => burst is >= 0 and <= PlacementOptions.MaxBurstReplicas);
        Check(errors, nameof(options.BudgetReplicasPerSecond), options.BudgetReplicasPerSecond, "from 0 to 1000000", rate => rate is >= 0 and <= PlacementOptions.MaxBurstReplicas);
        Check(errors, nameof(options.AdaptiveLowerMargin), options.AdaptiveLowerMargin, "above 0 and at most 1", margin => margin is > 0 and <= 1);
        Check(errors, nameof(options.ProbeAfterSeconds), options.ProbeAfterSeconds, "from 0 to 86400", seconds => seconds is >= 0 and <= PlacementOptions.MaxSeconds);
        Check(errors, nameof(options.ProbeEverySeconds), options.ProbeEverySeconds, "from 0 to 86400", seconds => seconds is >= 0 and <= PlacementOptions.MaxSeconds);
        return errors.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(errors);
    }

    private static void Check(List<string> errors, string setting, double value, string range, Func<double, bool> isIn)
    {
        if (!isIn(value))
        {
            errors.Add($"{PlacementOptions.Section}:{setting} is {value}; it must be {range}.");
        }
    }
}
