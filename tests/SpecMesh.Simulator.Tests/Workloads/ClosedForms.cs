using SpecMesh.Simulator.Workloads;
using SpecMesh.Speculation.Health;

namespace SpecMesh.Simulator.Tests.Workloads;

/// <summary>What the model must give where it can be worked out by hand.</summary>
internal static class ClosedForms
{
    private const int Servers = 1024;

    /// <summary>Probability that one replica of a launch boots: its server is healthy, and stays so until the end.</summary>
    public static double LaunchSuccess(double failedShare, Parameters p)
    {
        FaultModel faults = new(failedShare);
        double hazard = faults.HazardPerSecond(Servers);
        return (1 - (faults.FailedOf(Servers) / (double)Servers)) * OverBootTimes(p, seconds => Math.Exp(-hazard * seconds));
    }

    /// <summary>Attempts per machine: k / (1 − qᵏ).</summary>
    public static double Attempts(double failedShare, int k, Parameters p) => k / (1 - Math.Pow(1 - LaunchSuccess(failedShare, p), k));

    /// <summary>
    /// Delay: E[min L | at least one is up] + qᵏ · (E[max T_fail] + S/2) + q²ᵏ/(1 − qᵏ) · S. The first term by the survival function of the first success. A launch that fails comes into the
    /// backlog at any time between two scans, but is tried again at a scan: from then on every further failure costs a whole period, because an error comes sooner than the next scan.
    /// </summary>
    public static double Delay(double failedShare, int k, Parameters p)
    {
        FaultModel faults = new(failedShare);
        double hazard = faults.HazardPerSecond(Servers), healthy = 1 - (faults.FailedOf(Servers) / (double)Servers);
        double success = LaunchSuccess(failedShare, p), miss = Math.Pow(1 - success, k);
        // P(up by t) of one replica, on a grid; of k replicas: 1 − (1 − F)ᵏ.
        const int Steps = 20_000;
        double longest = p.BootMedianSeconds * Math.Exp(7 * p.BootSigma) + 1, step = longest / Steps, delay = 0, up = 0;
        for (int i = 0; i < Steps; i++)
        {
            double before = BootDistribution(p, i * step), after = BootDistribution(p, (i + 1) * step);
            double next = up + (healthy * (after - before) * Math.Exp(-hazard * (i + 0.5) * step));
            delay += step * ((Math.Pow(1 - up, k) + Math.Pow(1 - next, k)) / 2 - miss);
            up = next;
        }

        double longestError = p.LaunchErrorMinSeconds + ((p.LaunchErrorMaxSeconds - p.LaunchErrorMinSeconds) * k / (k + 1.0));
        return (delay / (1 - miss)) + (miss * (longestError + (p.ScanSeconds / 2))) + (miss * miss / (1 - miss) * p.ScanSeconds);
    }

    /// <summary>Success of k replicas of an operation that fails only at its start: 1 − Π (M − i)/(N − i).</summary>
    public static double StartSuccess(double failedShare, int k)
    {
        int failed = new FaultModel(failedShare).FailedOf(Servers);
        double miss = 1;
        for (int i = 0; i < k; i++)
        {
            miss *= Math.Max(0, failed - i) / (double)(Servers - i);
        }

        return 1 - miss;
    }

    private static double OverBootTimes(Parameters p, Func<double, double> value)
    {
        double sum = 0, weight = 0;
        for (double z = -6; z <= 6; z += 0.01)
        {
            double density = Math.Exp(-z * z / 2);
            sum += density * value(p.BootMedianSeconds * Math.Exp(p.BootSigma * z));
            weight += density;
        }

        return sum / weight;
    }

    private static double BootDistribution(Parameters p, double seconds)
    {
        if (seconds <= 0)
        {
            return 0;
        }

        if (p.BootSigma == 0)
        {
            return seconds >= p.BootMedianSeconds ? 1 : 0;
        }

        double z = Math.Log(seconds / p.BootMedianSeconds) / p.BootSigma;
        return 0.5 * Erfc(-z / Math.Sqrt(2));
    }

    /// <summary>The complementary error function to 1.2e-7 everywhere (the rational fit of Numerical Recipes, section 6.2).</summary>
    private static double Erfc(double x)
    {
        ReadOnlySpan<double> fit = [-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223, 0.17087277];
        double t = 1 / (1 + (0.5 * Math.Abs(x))), power = 0;
        for (int i = fit.Length - 1; i >= 0; i--)
        {
            power = (power * t) + fit[i];
        }

        double tail = t * Math.Exp((-x * x) + power);
        return x >= 0 ? tail : 2 - tail;
    }
}
