namespace SpecMesh.Simulator.Experiments;

/// <summary>A mean over seeds, with the half-width of its 95 % confidence interval.</summary>
/// <param name="Mean">Mean.</param>
/// <param name="Ci95">Half-width; 0 for one seed, which says nothing about it.</param>
/// <param name="Seeds">How many values there were.</param>
public readonly record struct Estimate(double Mean, double Ci95, int Seeds);

/// <summary>
/// Intervals over seeds. Runs of one seed are the unit: operations of one run are correlated, because a failure lasts a quarter of an hour. Policies are compared seed by seed, which the common
/// random numbers make several times narrower than the difference of two means.
/// </summary>
public static class Statistics
{
    private static readonly double[] T975 =
    [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
        2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
    ];

    /// <summary>The 97.5 % quantile of Student's t; above 30 degrees of freedom by the first terms of its expansion around the normal one, right to 3 digits.</summary>
    public static double StudentT(int degreesOfFreedom)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(degreesOfFreedom, 1);
        const double Z = 1.959964;
        return degreesOfFreedom <= T975.Length
            ? T975[degreesOfFreedom - 1]
            : Z + (((Z * Z * Z) + Z) / (4 * degreesOfFreedom)) + (((5 * Math.Pow(Z, 5)) + (16 * Z * Z * Z) + (3 * Z)) / (96.0 * degreesOfFreedom * degreesOfFreedom));
    }

    /// <summary>Mean and interval of one value per seed.</summary>
    public static Estimate Of(IReadOnlyList<double> values)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(values.Count, 1, nameof(values));
        double mean = values.Average();
        if (values.Count == 1)
        {
            return new(mean, 0, 1);
        }

        double variance = values.Sum(value => (value - mean) * (value - mean)) / (values.Count - 1);
        return new(mean, StudentT(values.Count - 1) * Math.Sqrt(variance / values.Count), values.Count);
    }
}
