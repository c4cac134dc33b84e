using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace SpecMesh.Hosting;

/// <summary>Traces, metrics and health of the process.</summary>
internal static class Observability
{
    /// <summary>OpenTelemetry's own variable for where traces go; without it none are recorded.</summary>
    public const string EndpointSetting = "OTEL_EXPORTER_OTLP_ENDPOINT";

    public static void Add(IHostApplicationBuilder builder, string service)
    {
        AddTelemetry(builder, service);
        builder.Services.AddHealthChecks()
            .AddCheck<StoreHealth>("store", tags: [MeshHealth.ReadyTag])
            .AddCheck<ViewHealth>("views", tags: [MeshHealth.ReadyTag]);
    }

    /// <summary>Several lines for each request say nothing that metrics and traces do not say. An operator's own level for them stands.</summary>
    private static void QuietFramework(IHostApplicationBuilder builder)
    {
        const string Framework = "Microsoft.AspNetCore";
        if (builder.Configuration[$"Logging:LogLevel:{Framework}"] is null)
        {
            builder.Logging.AddFilter(Framework, LogLevel.Warning);
        }
    }

    public static void AddTelemetry(IHostApplicationBuilder builder, string service)
    {
        QuietFramework(builder);
        builder.Services.AddMetrics();
        builder.Services.AddSingleton<MetricsCollector>();
        builder.Services.AddHealthChecks();
        if (Uri.TryCreate(builder.Configuration[EndpointSetting], UriKind.Absolute, out Uri? endpoint))
        {
            builder.Services.AddSingleton<IHostedService>(provider =>
                new TraceExport(endpoint, service, provider.GetRequiredService<ILogger<TraceExport>>()));
        }
    }
}

/// <summary>Exports traces for as long as the process lives. In batches, so that a slow collector never slows a handler.</summary>
internal sealed class TraceExport(Uri endpoint, string service, ILogger<TraceExport> logger) : IHostedService
{
    private static readonly string[] Sources = [MeshTracing.SourceName, "MassTransit", "Npgsql", "Microsoft.AspNetCore", "System.Net.Http"];

    private TracerProvider? provider;

    public Task StartAsync(CancellationToken cancellationToken)
    {
        provider = Sdk.CreateTracerProviderBuilder()
            .AddSource(Sources)
            .SetResourceBuilder(ResourceBuilder.CreateDefault().AddService(service, serviceNamespace: "specmesh"))
            .AddOtlpExporter(otlp => otlp.Endpoint = endpoint)
            .Build();
        Log.TracesExported(logger, SecretMask.Mask(endpoint.ToString()));
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        provider?.Dispose();
        return Task.CompletedTask;
    }
}
