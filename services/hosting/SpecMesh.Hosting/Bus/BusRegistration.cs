using MassTransit;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace SpecMesh.Hosting;

/// <summary>Puts the registered queues on the bus that the configuration names.</summary>
internal static class BusRegistration
{
    private const string ErrorQueueType = "quorum";

    public static void Add(IServiceCollection services, MeshRegistry registry, SpecMeshOptions options, string service)
    {
        // The library would report its use to its vendor otherwise. The variable covers what it decides before its configuration is read.
        Environment.SetEnvironmentVariable("MASSTRANSIT_USAGE_TELEMETRY", "false");
        services.AddOptions<MassTransitHostOptions>().Configure(host =>
        {
            // A broker that is not there yet must not keep the process from starting: readiness tells.
            host.WaitUntilStarted = false;
            host.StopTimeout = TimeSpan.FromSeconds(options.StopSeconds);
            host.ConsumerStopTimeout = TimeSpan.FromSeconds(options.StopSeconds);
        });
        bool rabbit = BusUrl.TryParse(options.Bus, out BusUrl? url);
        if (rabbit)
        {
            services.AddSingleton(provider => new RabbitQueues(url!, service));
            services.AddSingleton<IHostedService>(provider => new BusWatch(
                url!, provider.GetRequiredService<BusGate>(), BusWatch.EndOf(provider.GetRequiredService<IHostApplicationLifetime>()), TimeProvider.System, provider.GetRequiredService<ILogger<BusWatch>>()));
        }

        services.AddMassTransit(bus =>
        {
            bus.DisableUsageTelemetry();
            bus.ConfigureHealthCheckOptions(health =>
            {
                health.Name = "bus";
                health.Tags.Clear();
                health.Tags.Add(MeshHealth.ReadyTag);
            });
            if (rabbit)
            {
                bus.UsingRabbitMq((context, factory) => UseRabbit(context, factory, registry, options, url!, service));
            }
            else
            {
                bus.UsingInMemory((context, factory) => UseMemory(context, factory, registry, options));
            }
        });
    }

    private static void UseMemory(IBusRegistrationContext context, IInMemoryBusFactoryConfigurator factory, MeshRegistry registry, SpecMeshOptions options)
    {
        UseContractJson(factory, registry);
        foreach (QueueRegistration queue in registry.Queues)
        {
            factory.ReceiveEndpoint(queue.Name, endpoint => Configure(endpoint, queue, context, options));
        }
    }

    private static void UseRabbit(
        IBusRegistrationContext context,
        IRabbitMqBusFactoryConfigurator factory,
        MeshRegistry registry,
        SpecMeshOptions options,
        BusUrl url,
        string service)
    {
        factory.Host(url.Host, url.Port, url.VirtualHost, host =>
        {
            host.Username(url.User);
            host.Password(url.Password);
            host.PublisherConfirmation = true;
            host.ConnectionName($"specmesh {service}");
            if (url.Tls)
            {
                host.UseSsl(tls => tls.ServerName = url.Host);
            }
        });
        UseContractJson(factory, registry);
        factory.SendTopology.ConfigureErrorSettings = errors => errors.SetQueueArgument("x-queue-type", ErrorQueueType);
        factory.SendTopology.ConfigureDeadLetterSettings = skipped => skipped.SetQueueArgument("x-queue-type", ErrorQueueType);
        foreach (QueueRegistration queue in registry.Queues)
        {
            factory.ReceiveEndpoint(queue.Name, endpoint =>
            {
                if (queue.Temporary)
                {
                    endpoint.Durable = false;
                    endpoint.AutoDelete = true;
                    endpoint.SetQueueArgument("x-expires", options.TemporaryQueueSeconds * 1000);
                }
                else
                {
                    endpoint.SetQuorumQueue();
                }

                Configure(endpoint, queue, context, options);
            });
        }
    }

    private static void UseContractJson(IBusFactoryConfigurator factory, MeshRegistry registry)
    {
        factory.ClearSerialization();
        factory.AddSerializer(new ContractJsonFactory(registry.Json));
        factory.AddDeserializer(new ContractEnvelopeFactory(registry.Json));
        factory.AddDeserializer(new ContractJsonFactory(registry.Json), isDefault: true);
    }

    private static void Configure(IReceiveEndpointConfigurator endpoint, QueueRegistration queue, IBusRegistrationContext context, SpecMeshOptions options)
    {
        endpoint.PrefetchCount = options.Prefetch;
        endpoint.ConcurrentMessageLimit = options.Prefetch;

        // A fault is visible in the error queue and in the metrics; a further message about it would have no reader.
        endpoint.PublishFaults = false;
        foreach (EndpointBinding binding in queue.Bindings)
        {
            binding.Configure(endpoint, context);
        }
    }
}
