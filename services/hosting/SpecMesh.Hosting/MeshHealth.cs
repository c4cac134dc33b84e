using System.Diagnostics;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using SpecMesh.EventStore;

namespace SpecMesh.Hosting;

/// <summary>The HTTP side: health and metrics.</summary>
public static class MeshHealth
{
    /// <summary>Tag of the health checks that readiness asks; a service may add its own.</summary>
    public const string ReadyTag = "ready";

    /// <summary>
    /// Adds health, metrics and traces alone, for a process that takes no part in the bus and has no store. <see cref="MapSpecMesh"/> maps them; a process that calls
    /// <see cref="SpecMeshHosting.AddSpecMesh"/> has them already.
    /// </summary>
    public static void AddSpecMeshTelemetry(this IHostApplicationBuilder builder, string service)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(service);
        Observability.AddTelemetry(builder, service);
    }

    /// <summary>
    /// Maps <c>/health/live</c> (the process answers), <c>/health/ready</c> (the bus is connected, the store answers, every view has caught up; 503 otherwise)
    /// and <c>/metrics</c> (Prometheus text format 0.0.4), and names route and status in the server's spans.
    /// </summary>
    public static void MapSpecMesh(this WebApplication app)
    {
        app.Use(TagSpanAsync);
        app.MapHealthChecks("/health/live", new HealthCheckOptions { Predicate = _ => false, ResponseWriter = WriteAsync });
        app.MapHealthChecks("/health/ready", new HealthCheckOptions { Predicate = check => check.Tags.Contains(ReadyTag), ResponseWriter = WriteAsync });
        app.MapGet("/metrics", (MetricsCollector metrics) => Results.Text(metrics.Collect(), "text/plain; version=0.0.4; charset=utf-8")).ExcludeFromDescription();

        // Started here so that it has seen every measurement since the start, not only those since the first scrape.
        app.Services.GetRequiredService<MetricsCollector>();
    }

    private static async Task TagSpanAsync(HttpContext context, RequestDelegate next)
    {
        await next(context);
        if (Activity.Current is { IsAllDataRequested: true } span)
        {
            string? route = (context.GetEndpoint() as RouteEndpoint)?.RoutePattern.RawText;
            span.DisplayName = $"{context.Request.Method} {route}".TrimEnd();
            span.SetTag("http.request.method", context.Request.Method);
            span.SetTag("http.route", route);
            span.SetTag("http.response.status_code", context.Response.StatusCode);
        }
    }

    private static Task WriteAsync(HttpContext context, HealthReport report)
    {
        context.Response.ContentType = "application/json";
        return context.Response.WriteAsync(JsonSerializer.Serialize(new
        {
            status = report.Status.ToString(),
            checks = report.Entries.ToDictionary(
                entry => entry.Key,
                entry => new { status = entry.Value.Status.ToString(), description = entry.Value.Description }),
        }));
    }
}

/// <summary>Ready when the store answers a cheap read.</summary>
internal sealed class StoreHealth(StoreState state, IEventStore? store = null) : IHealthCheck
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(5);

    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        if (store is null)
        {
            return HealthCheckResult.Healthy("There is none.");
        }

        if (!state.IsOpen)
        {
            return HealthCheckResult.Unhealthy("It has not been opened yet.");
        }

        try
        {
            using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            limit.CancelAfter(Timeout);
            await store.ReadCheckpointAsync("health", limit.Token);
            return HealthCheckResult.Healthy("It answers.");
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
        {
            // Only the type: messages of database drivers may hold addresses and user names.
            return HealthCheckResult.Unhealthy($"It does not answer: {exception.GetType().Name}.", exception);
        }
    }
}

/// <summary>Ready when every view has caught up once.</summary>
internal sealed class ViewHealth(IEnumerable<ViewWorker> views) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        string[] behind = [.. views.Where(view => !view.CaughtUp).Select(view => view.Name)];
        return Task.FromResult(behind.Length == 0
            ? HealthCheckResult.Healthy("Every view has caught up.")
            : HealthCheckResult.Unhealthy($"Still reading: {string.Join(", ", behind)}."));
    }
}
