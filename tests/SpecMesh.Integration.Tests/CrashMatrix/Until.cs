using System.Data.Common;
using System.Diagnostics;

namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>Bounded polling on a state. The bound is generous: it tells a hang from a slow machine, and measures nothing.</summary>
public static class Until
{
    public static readonly TimeSpan Bound = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);

    /// <summary>Looks again and again until nothing is missing.</summary>
    /// <param name="missing">What is missing; null: nothing.</param>
    /// <param name="bound">Null: <see cref="Bound"/>.</param>
    /// <exception cref="TimeoutException">Something was missing to the end; the message says what.</exception>
    public static Task TrueAsync(Func<string?> missing, TimeSpan? bound = null) => TrueAsync(() => Task.FromResult(missing()), bound);

    /// <inheritdoc cref="TrueAsync(Func{string?}, TimeSpan?)"/>
    public static async Task TrueAsync(Func<Task<string?>> missing, TimeSpan? bound = null)
    {
        Stopwatch waited = Stopwatch.StartNew();
        using PeriodicTimer timer = new(Pause);
        while (await LookAsync(missing) is { } still)
        {
            if (waited.Elapsed > (bound ?? Bound))
            {
                throw new TimeoutException($"After {waited.Elapsed.TotalSeconds:0} s: {still}");
            }

            await timer.WaitForNextTickAsync();
        }
    }

    /// <summary>Lets a fault last: it is as long as its length, not as long as somebody needs to see it.</summary>
    public static async Task PassedAsync(TimeSpan length)
    {
        using PeriodicTimer timer = new(length);
        await timer.WaitForNextTickAsync();
    }

    private static async Task<string?> LookAsync(Func<Task<string?>> missing)
    {
        try
        {
            return await missing();
        }
        catch (Exception error) when (error is DbException or IOException or HttpRequestException or OperationCanceledException or TimeoutException or RabbitMQ.Client.Exceptions.RabbitMQClientException)
        {
            // Whoever was asked is the victim, or has just come back.
            return error.Message;
        }
    }
}
