using System.Text.Json;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using SpecMesh.EventStore;

namespace SpecMesh.Hosting;

/// <summary>Registers what a service listens to. The bus and the store behind it come from the configuration section <c>SpecMesh</c>.</summary>
public sealed class MeshBuilder
{
    private readonly MeshRegistry registry;
    private readonly string service;

    internal MeshBuilder(IHostApplicationBuilder host, MeshRegistry registry, string service)
    {
        Host = host;
        this.registry = registry;
        this.service = service;
    }

    public IHostApplicationBuilder Host { get; }

    public IServiceCollection Services => Host.Services;

    public IConfiguration Configuration => Host.Configuration;

    /// <summary>A queue of this service, durable unless it is made temporary. A queue named again gets further handlers.</summary>
    public MeshBuilder Endpoint(string queue, Action<EndpointBuilder> configure)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(queue);
        configure(new EndpointBuilder(registry.Queue(queue), service));
        return this;
    }

    /// <summary>
    /// A saga whose instances are folds of event streams. <see cref="SagaRunner{TState}"/> reaches the same saga directly, but never from within one of its own handlers:
    /// messages of one instance are handled one at a time, so that the handler would wait for itself.
    /// </summary>
    public MeshBuilder Saga<TState>(SagaDefinition<TState> definition, Action<SagaBuilder<TState>> configure)
        where TState : class
    {
        if (Services.Any(known => known.ServiceType == typeof(SagaRunner<TState>)))
        {
            throw new ArgumentException($"There already is a saga of {typeof(TState)}.", nameof(definition));
        }

        SagaBuilder<TState> saga = new(definition, service);
        configure(saga);
        QueueRegistration queue = registry.Queue(definition.Queue);
        foreach (SagaMessage<TState> message in saga.Messages)
        {
            queue.Add(message.Type, needsStore: true, binding: null);
        }

        queue.Bindings.Add(new SagaBinding<TState>(saga));
        Services.AddSingleton<SagaGate<TState>>();
        Services.AddSingleton(provider => new SagaRunner<TState>(
            saga,
            provider.GetRequiredService<HandlerRunner>(),
            provider.GetRequiredService<SagaGate<TState>>()));
        return this;
    }

    /// <summary>
    /// Handles every stored event once, in order, from the first one on. What the handler appends and sends, and how far it got, are one transaction.
    /// An event whose handler throws is tried again until it succeeds, because skipping it would lose it: the metric <c>specmesh_reader_failures_total</c> tells.
    /// </summary>
    public MeshBuilder Subscription(string name, Func<StoredEvent, HandlerContext, CancellationToken, Task> handle)
    {
        registry.AddReader(name);
        Services.AddSingleton<IHostedService>(provider => ActivatorUtilities.CreateInstance<SubscriptionWorker>(provider, service, name, handle));
        return this;
    }

    /// <summary>A read model in memory, built from the first event on at every start. The process is ready only when it has caught up once.</summary>
    public MeshBuilder View(string name, Action<IServiceProvider, StoredEvent> apply)
    {
        registry.AddReader(name);
        Services.AddSingleton(provider => ActivatorUtilities.CreateInstance<ViewWorker>(provider, name, apply));
        Services.AddSingleton<IHostedService>(provider => provider.GetServices<ViewWorker>().Single(view => view.Name == name));
        return this;
    }

    /// <summary>
    /// Names the fault points at the two sides of every commit that sends a message of this type (<see cref="FaultPoints"/>): a test may stop the service there.
    /// </summary>
    /// <param name="before">Reached before the commit; null for none.</param>
    /// <param name="after">Reached after the commit, before the message leaves the outbox.</param>
    /// <param name="operationOf">The operation that the message is about.</param>
    public MeshBuilder FaultPoint<T>(string? before, string after, Func<T, Guid> operationOf)
        where T : class
    {
        registry.CommitPoints.Add(typeof(T), new CommitPoints(before, after, message => operationOf((T)message)));
        return this;
    }
}

/// <summary>Entry points of the hosting library.</summary>
public static class SpecMeshHosting
{
    /// <summary>
    /// Adds the bus, the event store, telemetry and health for one service. Called once per service; several services in one process share one bus and one store.
    /// </summary>
    /// <param name="service">Name of the service: of its outbox, and in telemetry.</param>
    /// <param name="messageAndEventTypes">Records that travel or are stored.</param>
    /// <param name="json">The one JSON form of them.</param>
    public static MeshBuilder AddSpecMesh(this IHostApplicationBuilder builder, string service, IEnumerable<Type> messageAndEventTypes, JsonSerializerOptions json)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(service);
        MeshRegistry? registry = (MeshRegistry?)builder.Services.FirstOrDefault(known => known.ServiceType == typeof(MeshRegistry))?.ImplementationInstance;
        if (registry is null)
        {
            registry = new MeshRegistry();
            MeshServices.Add(builder, registry, service);
        }

        if (registry.AddService(service, messageAndEventTypes, json))
        {
            builder.Services.AddSingleton<IHostedService>(provider => ActivatorUtilities.CreateInstance<OutboxDispatcher>(provider, service));
        }

        return new MeshBuilder(builder, registry, service);
    }
}
