namespace SpecMesh.Speculation.Replication;

/// <summary>
/// Replicas that start one after the other: replica <c>j</c> at <c>j·δ</c>, or as soon as no earlier one is left. With a δ of at least the normal time most operations need one replica:
/// success <c>1−pᵏ</c> at <c>1/(1−p)</c> attempts, the price of the naive manager (facts: protocol, section 4).
/// </summary>
public static class HedgedStart
{
    /// <summary>When the next replica is due.</summary>
    /// <param name="firstAtSeconds">When the first replica started.</param>
    /// <param name="started">Replicas that have started.</param>
    /// <param name="delaySeconds">δ.</param>
    public static double NextAtSeconds(double firstAtSeconds, int started, double delaySeconds) => firstAtSeconds + (started * delaySeconds);

    /// <summary>True when the next replica is to start now.</summary>
    /// <param name="nowSeconds">Present time.</param>
    /// <param name="firstAtSeconds">When the first replica started.</param>
    /// <param name="started">Replicas that have started.</param>
    /// <param name="live">Replicas that may still win.</param>
    /// <param name="planned">Replicas that the operation may have in all.</param>
    /// <param name="delaySeconds">δ.</param>
    public static bool IsDue(double nowSeconds, double firstAtSeconds, int started, int live, int planned, double delaySeconds) =>
        started < planned && (live == 0 || nowSeconds >= NextAtSeconds(firstAtSeconds, started, delaySeconds));
}
