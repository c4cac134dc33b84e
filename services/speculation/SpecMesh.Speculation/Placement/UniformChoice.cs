namespace SpecMesh.Speculation.Placement;

/// <summary>Uniformly random choices that take their chance as numbers and allocate nothing.</summary>
public static class UniformChoice
{
    /// <summary>Brings <paramref name="uniforms"/>.Length candidates, each set equally likely, to the front: the first steps of a Fisher–Yates shuffle.</summary>
    /// <param name="candidates">Reordered in place.</param>
    /// <param name="uniforms">One number from 0 to below 1 for each that is wanted.</param>
    /// <returns>How many there are: fewer than wanted when there are fewer candidates.</returns>
    public static int ToFront(Span<int> candidates, ReadOnlySpan<double> uniforms)
    {
        int count = Math.Min(candidates.Length, uniforms.Length);
        for (int i = 0; i < count; i++)
        {
            int left = candidates.Length - i;
            int other = i + Math.Min(left - 1, (int)(uniforms[i] * left));
            (candidates[i], candidates[other]) = (candidates[other], candidates[i]);
        }

        return count;
    }

    /// <summary>Different numbers below <paramref name="population"/>, each set equally likely, without a list of all of them (Floyd, as Bentley tells it, CACM 30 (1987)).</summary>
    /// <param name="population">How many numbers there are.</param>
    /// <param name="uniforms">One number from 0 to below 1 for each that is wanted.</param>
    /// <param name="chosen">Where they go.</param>
    /// <returns>How many there are: fewer than wanted when there are fewer numbers.</returns>
    public static int Distinct(int population, ReadOnlySpan<double> uniforms, Span<int> chosen)
    {
        int count = Math.Min(population, uniforms.Length);
        for (int i = 0; i < count; i++)
        {
            int last = population - count + i;
            int drawn = Math.Min(last, (int)(uniforms[i] * (last + 1)));
            chosen[i] = chosen[..i].Contains(drawn) ? last : drawn;
        }

        return count;
    }
}
