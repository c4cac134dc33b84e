using System.Globalization;
using System.Threading.RateLimiting;

namespace SpecMesh.Gateway;

/// <summary>So many requests per window for each client. Who has no valid key shares a window with everybody at the same address, which slows guessing.</summary>
internal static class RequestRate
{
    public static IServiceCollection AddRequestRate(this IServiceCollection services, GatewayOptions options) => services.AddRateLimiter(limiter =>
    {
        limiter.RejectionStatusCode = StatusCodes.Status429TooManyRequests;
        limiter.GlobalLimiter = PartitionedRateLimiter.Create<HttpContext, string>(context => GatewayService.IsProbe(context)
            ? RateLimitPartition.GetNoLimiter(string.Empty)
            : RateLimitPartition.GetFixedWindowLimiter(WhoCalls(context), _ => new FixedWindowRateLimiterOptions
            {
                PermitLimit = options.RateLimit.Requests,
                Window = TimeSpan.FromSeconds(options.RateLimit.WindowSeconds),
                QueueLimit = 0,
            }));
        limiter.OnRejected = async (rejected, _) =>
        {
            HttpContext context = rejected.HttpContext;
            TimeSpan wait = rejected.Lease.TryGetMetadata(MetadataName.RetryAfter, out TimeSpan retryAfter) ? retryAfter : TimeSpan.FromSeconds(options.RateLimit.WindowSeconds);
            int seconds = Math.Max(1, (int)Math.Ceiling(wait.TotalSeconds));
            context.Response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
            Log.RateLimited(context.RequestServices.GetRequiredService<ILogger<GatewayOptions>>(), WhoCalls(context));
            await context.RequestServices.GetRequiredService<IProblemDetailsService>().WriteProblemAsync(
                context,
                StatusCodes.Status429TooManyRequests,
                string.Create(CultureInfo.InvariantCulture, $"{options.RateLimit.Requests} requests in {options.RateLimit.WindowSeconds} s are allowed; come back in {seconds} s."));
        };
    });

    private static string WhoCalls(HttpContext context) =>
        context.User.Identity?.Name is { } name ? $"client {name}" : $"address {context.Connection.RemoteIpAddress}";
}
