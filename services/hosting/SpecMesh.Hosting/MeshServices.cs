using MassTransit;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using SpecMesh.EventStore;

namespace SpecMesh.Hosting;

/// <summary>What every process has once, however many services it hosts.</summary>
internal static class MeshServices
{
    public static void Add(IHostApplicationBuilder builder, MeshRegistry registry, string service)
    {
        IServiceCollection services = builder.Services;
        SpecMeshOptions options = SpecMeshOptions.Read(builder.Configuration);
        services.AddSingleton(registry);
        services.AddOptions<SpecMeshOptions>().BindConfiguration(SpecMeshOptions.Section).ValidateOnStart();
        services.AddSingleton<IValidateOptions<SpecMeshOptions>, SpecMeshOptionsValidator>();
        services.AddOptions<GatewayAccessOptions>().BindConfiguration(SpecMeshOptions.Section).ValidateOnStart();
        services.AddSingleton<IValidateOptions<GatewayAccessOptions>, GatewayAccessValidator>();
        services.AddSingleton<GatewayDoor>();
        services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(options.StopSeconds + 5));
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton(provider => provider.GetRequiredService<MeshRegistry>().Types());
        services.AddSingleton<MeshMetrics>();
        services.AddSingleton<FoldCache>();
        services.AddSingleton<HandlerRunner>();
        services.AddSingleton<QueueTurns>();
        services.AddSingleton(provider => new FaultPoints(provider.GetRequiredService<IConfiguration>(), registry, provider.GetRequiredService<ILogger<FaultPoints>>()));
        services.AddSingleton(new BackOff(Random.Shared.NextDouble));
        services.AddSingleton(provider => BusTransmitter.GateOf(provider.GetRequiredService<IBusControl>()));
        services.AddSingleton(provider => new MessageBus(
            new BusTransmitter(provider.GetRequiredService<IBus>(), provider.GetService<RabbitQueues>()).TransmitAsync,
            provider.GetRequiredService<BusGate>(),
            provider.GetRequiredService<TimeProvider>()));
        AddStore(services, options);
        BusRegistration.Add(services, registry, options, service);
        Observability.Add(builder, service);
    }

    private static void AddStore(IServiceCollection services, SpecMeshOptions options)
    {
        services.AddSingleton<StoreState>();
        services.AddSingleton<IHostedService>(provider =>
        {
            // The host builds its services before it validates options, and the bus would stumble over a wrong setting with an error of its own:
            // the first of them asks for the options, so that the operator reads all errors together.
            _ = provider.GetRequiredService<IOptions<SpecMeshOptions>>().Value;
            return ActivatorUtilities.CreateInstance<StoreStarter>(provider);
        });
        if (options.HasStore)
        {
            services.TryAddSingleton<IEventStore>(provider => StoreConnection.Open(options.Store, provider.GetRequiredService<EventTypes>(), provider.GetRequiredService<TimeProvider>()));
        }
    }
}
