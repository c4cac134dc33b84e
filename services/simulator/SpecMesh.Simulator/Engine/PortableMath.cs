using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace SpecMesh.Simulator.Engine;

/// <summary>
/// Logarithm, exponential and the normal quantile from additions, multiplications, divisions and square roots alone, which IEEE 754 fixes to the last bit. <see cref="Math.Log(double)"/>
/// asks the C library of the machine: with it, the same seed would give another simulation on another system.
/// </summary>
public static class PortableMath
{
    private const int MantissaBits = 52;
    private const long BitsOfRootOfHalf = 0x3FE6A09E667F3BCD;

    // Coefficients of a polynomial for (log((1 + s) / (1 - s)) - 2 s) / s.
    private const double L1 = 0.6666666666666735130;
    private const double L2 = 0.3999999999940941908;
    private const double L3 = 0.2857142874366239149;
    private const double L4 = 0.2222219843214978396;
    private const double L5 = 0.1818357216161805012;
    private const double L6 = 0.1531383769920937332;
    private const double L7 = 0.1479819860511658591;

    // ln 2 in two parts; the first has so few bits that its product with an exponent is exact.
    private const double Ln2High = 6.93147180369123816490e-01;
    private const double Ln2Low = 1.90821492927058770002e-10;

    /// <summary>The natural logarithm of a positive normal number, within 1 unit of the last place (the algorithm of Sun's fdlibm, <c>e_log.c</c>).</summary>
    public static double Log(double x)
    {
        // x = 2^k · (1 + f) with 1 + f from √½ to √2.
        long bits = BitConverter.DoubleToInt64Bits(x);
        long k = (bits - BitsOfRootOfHalf) >> MantissaBits;
        double f = BitConverter.Int64BitsToDouble(bits - (k << MantissaBits)) - 1.0;
        double s = f / (2.0 + f);
        double z = s * s;
        double w = z * z;
        double even = w * (L2 + (w * (L4 + (w * L6))));
        double odd = z * (L1 + (w * (L3 + (w * (L5 + (w * L7))))));
        double halfSquare = 0.5 * f * f;
        return (k * Ln2High) - ((halfSquare - ((s * (halfSquare + (odd + even))) + (k * Ln2Low))) - f);
    }

    /// <summary>Replaces positive normal numbers by their logarithms with the sign changed: step by step what <see cref="Log"/> does, so that the results are the same to the last bit.</summary>
    public static void NegativeLog(Span<double> numbers)
    {
        int done = 0;
        if (Vector256.IsHardwareAccelerated)
        {
            for (; done + Vector256<double>.Count <= numbers.Length; done += Vector256<double>.Count)
            {
                Span<double> four = numbers.Slice(done, Vector256<double>.Count);
                NegativeLog(Vector256.Create<double>(four)).CopyTo(four);
            }
        }

        for (; done < numbers.Length; done++)
        {
            numbers[done] = -Log(numbers[done]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<double> NegativeLog(Vector256<double> x)
    {
        // Shifted by 1024, k is not negative: then its sign need not be kept, and as the last bits of a double near 2⁵² it becomes a double itself.
        Vector256<long> bits = x.AsInt64();
        Vector256<long> shifted = (bits - Vector256.Create(BitsOfRootOfHalf - (1024L << MantissaBits))) >>> MantissaBits;
        Vector256<double> k = (shifted | Vector256.Create(0x433L << MantissaBits)).AsDouble() - Vector256.Create((double)(1L << MantissaBits) + 1024);
        Vector256<double> one = Vector256.Create(1.0), two = Vector256.Create(2.0);
        Vector256<double> f = (bits - ((shifted << MantissaBits) - Vector256.Create(1024L << MantissaBits))).AsDouble() - one;
        Vector256<double> s = f / (two + f);
        Vector256<double> z = s * s;
        Vector256<double> w = z * z;
        Vector256<double> even = w * (Vector256.Create(L2) + (w * (Vector256.Create(L4) + (w * L6))));
        Vector256<double> odd = z * (Vector256.Create(L1) + (w * (Vector256.Create(L3) + (w * (Vector256.Create(L5) + (w * L7))))));
        Vector256<double> halfSquare = 0.5 * f * f;
        return (halfSquare - ((s * (halfSquare + (odd + even))) + (k * Ln2Low))) - f - (k * Ln2High);
    }

    /// <summary>The exponential of a number from -708 to 709, within 1 unit of the last place (the algorithm of Sun's fdlibm, <c>e_exp.c</c>).</summary>
    public static double Exp(double x)
    {
        // x = k · ln 2 + r with r from -½ ln 2 to ½ ln 2.
        double k = Math.Floor((x * 1.44269504088896338700) + 0.5);
        double high = x - (k * Ln2High);
        double low = k * Ln2Low;
        double r = high - low;
        double t = r * r;
        double c = r - (t * (1.66666666666666019037e-01 + (t * (-2.77777777770155933842e-03 + (t * (6.61375632143793436117e-05 + (t * (-1.65339022054652515390e-06 + (t * 4.13813679705723846039e-08)))))))));
        double y = 1.0 - (low - (r * c / (2.0 - c)) - high);
        return y * BitConverter.Int64BitsToDouble(((long)k + 1023) << 52);
    }

    /// <summary>The number below which a standard normal number is with probability <paramref name="p"/>, to 16 digits (Wichura, algorithm AS 241, PPND16, Applied Statistics 37, 1988).</summary>
    /// <param name="p">Between 0 and 1.</param>
    public static double NormalQuantile(double p)
    {
        double q = p - 0.5;
        if (Math.Abs(q) <= 0.425)
        {
            double central = 0.180625 - (q * q);
            return q * Ratio(central,
                [3.3871328727963666080e0, 1.3314166789178437745e+2, 1.9715909503065514427e+3, 1.3731693765509461125e+4, 4.5921953931549871457e+4, 6.7265770927008700853e+4, 3.3430575583588128105e+4, 2.5090809287301226727e+3],
                [1.0, 4.2313330701600911252e+1, 6.8718700749205790830e+2, 5.3941960214247511077e+3, 2.1213794301586595867e+4, 3.9307895800092710610e+4, 2.8729085735721942674e+4, 5.2264952788528545610e+3]);
        }

        double r = Math.Sqrt(-Log(q < 0 ? p : 1.0 - p));
        double magnitude = r <= 5.0
            ? Ratio(r - 1.6,
                [1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4],
                [1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1, 1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9])
            : Ratio(r - 5.0,
                [6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7],
                [1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2, 7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15]);
        return q < 0 ? -magnitude : magnitude;
    }

    /// <summary>The quotient of two polynomials of equal degree, by Horner's rule; coefficients from the lowest power up.</summary>
    private static double Ratio(double x, ReadOnlySpan<double> above, ReadOnlySpan<double> below)
    {
        double numerator = 0, denominator = 0;
        for (int power = above.Length - 1; power >= 0; power--)
        {
            numerator = (numerator * x) + above[power];
            denominator = (denominator * x) + below[power];
        }

        return numerator / denominator;
    }
}
