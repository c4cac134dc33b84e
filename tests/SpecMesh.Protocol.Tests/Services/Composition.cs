using System.Collections.Concurrent;
using System.Collections.Frozen;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.FailureMonitor;
using SpecMesh.Hosting;
using SpecMesh.Placement;
using SpecMesh.ReplicationPolicy;

namespace SpecMesh.Protocol.Tests.Services;

/// <summary>
/// A service as its own program composes it: the registrations are the real ones, made once; each simulated process resolves from them what it uses.
/// </summary>
internal sealed class Composition
{
    private readonly FrozenDictionary<Type, ServiceDescriptor[]> descriptors;

    private Composition(string service, Action<MeshBuilder> add)
    {
        Service = service;
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        MeshBuilder mesh = builder.AddSpecMesh(service, ContractCatalogue.All, ContractJson.Options);
        int wiring = builder.Services.Count;
        add(mesh);
        MeshRegistry registry = (MeshRegistry)builder.Services.First(known => known.ServiceType == typeof(MeshRegistry)).ImplementationInstance!;
        Workers = [.. builder.Services.Skip(wiring).Where(known => known.ServiceType == typeof(IHostedService))];
        Queues = registry.Queues.ToFrozenDictionary(
            queue => queue.Name,
            queue => queue.Bindings.SelectMany(binding => binding.Deliveries).ToFrozenDictionary(delivery => delivery.Type),
            StringComparer.Ordinal);
        descriptors = builder.Services.Where(known => !known.IsKeyedService).GroupBy(known => known.ServiceType).ToFrozenDictionary(group => group.Key, group => group.ToArray());
    }

    /// <summary>Every service of the control plane.</summary>
    public static Composition ReplicationPolicy { get; } = new(ReplicationPolicyService.Name, mesh => mesh.AddReplicationPolicy());

    public static Composition Placement { get; } = new("placement", mesh => mesh.AddPlacement());

    public static Composition FailureMonitor { get; } = new("failure-monitor", mesh => mesh.AddFailureMonitor());

    /// <summary>The queues that listen for a type that is published.</summary>
    public static FrozenDictionary<Type, string[]> Listeners { get; } = new[] { ReplicationPolicy, Placement, FailureMonitor }
        .SelectMany(service => service.Queues)
        .SelectMany(queue => queue.Value.Keys.Select(type => (Type: type, Queue: queue.Key)))
        .GroupBy(pair => pair.Type)
        .ToFrozenDictionary(group => group.Key, group => group.Select(pair => pair.Queue).ToArray());

    /// <summary>The records that the store may hold, as the services register them.</summary>
    public static EventTypes Types { get; } = new(ContractCatalogue.All, ContractJson.Options);

    /// <summary>Name of the service and of its outbox.</summary>
    public string Service { get; }

    /// <summary>What the service's own registrations let run beside its handlers.</summary>
    public IReadOnlyList<ServiceDescriptor> Workers { get; }

    /// <summary>What is done with each type of message, by queue.</summary>
    public FrozenDictionary<string, FrozenDictionary<Type, Delivery>> Queues { get; }

    /// <summary>All registrations of a type.</summary>
    public ServiceDescriptor[] Of(Type type) => descriptors.GetValueOrDefault(type) ?? [];
}

/// <summary>
/// The services of one simulated process: singletons made from the real registrations when they are first asked for, except for what the simulation puts in their place.
/// </summary>
internal sealed class ProcessServices(Composition composition, IReadOnlyDictionary<Type, object> given) : IServiceProvider, IServiceScopeFactory
{
    private static readonly ConcurrentDictionary<Type, object> Silent = new();

    private readonly Dictionary<ServiceDescriptor, object> made = [];

    public IServiceScope CreateScope() => new Scope(this);

    public object? GetService(Type serviceType)
    {
        if (given.TryGetValue(serviceType, out object? known))
        {
            return known;
        }

        if (serviceType == typeof(IServiceProvider) || serviceType == typeof(IServiceScopeFactory))
        {
            return this;
        }

        if (composition.Of(serviceType) is { Length: > 0 } registered)
        {
            return Make(registered[^1]);
        }

        if (serviceType.IsGenericType && serviceType.GetGenericTypeDefinition() == typeof(ILogger<>))
        {
            return Silent.GetOrAdd(serviceType, type => Activator.CreateInstance(typeof(NullLogger<>).MakeGenericType(type.GenericTypeArguments))!);
        }

        if (serviceType.IsGenericType && serviceType.GetGenericTypeDefinition() == typeof(IEnumerable<>))
        {
            Type element = serviceType.GenericTypeArguments[0];
            ServiceDescriptor[] all = composition.Of(element);
            Array instances = Array.CreateInstance(element, all.Length);
            for (int i = 0; i < all.Length; i++)
            {
                instances.SetValue(Make(all[i]), i);
            }

            return instances;
        }

        return null;
    }

    /// <summary>The one instance of a registration.</summary>
    public object Make(ServiceDescriptor descriptor)
    {
        if (!made.TryGetValue(descriptor, out object? instance))
        {
            instance = descriptor.ImplementationInstance
                ?? descriptor.ImplementationFactory?.Invoke(this)
                ?? ActivatorUtilities.CreateInstance(this, descriptor.ImplementationType!);
            made.Add(descriptor, instance);
        }

        return instance;
    }

    /// <summary>The scope of one handler. Services have singletons only, which live until the process dies.</summary>
    private sealed class Scope(IServiceProvider services) : IServiceScope
    {
        public IServiceProvider ServiceProvider => services;

        public void Dispose()
        {
            // Nothing is made for a scope.
        }
    }
}
