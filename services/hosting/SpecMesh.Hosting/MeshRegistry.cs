using System.Text.Json;
using SpecMesh.EventStore;

namespace SpecMesh.Hosting;

/// <summary>Something that listens on a queue, in the words of the bus library.</summary>
internal abstract record EndpointBinding
{
    /// <summary>What it does with each type of message, without the bus library around it.</summary>
    public abstract IEnumerable<Delivery> Deliveries { get; }

    public abstract void Configure(MassTransit.IReceiveEndpointConfigurator endpoint, IServiceProvider services);
}

/// <summary>How a queue's messages of one type are handled. The task ends when the message may be acknowledged; when it fails, the message goes to the error queue.</summary>
/// <param name="Type">The message type.</param>
/// <param name="HandleAsync">Handles one message with the services of a process.</param>
internal sealed record Delivery(Type Type, Func<object, Guid, IServiceProvider, CancellationToken, Task> HandleAsync);

/// <summary>One queue and what listens on it.</summary>
internal sealed class QueueRegistration(string name)
{
    private readonly HashSet<Type> messages = [];

    public string Name { get; } = name;

    public bool Temporary { get; set; }

    public bool NeedsStore { get; private set; }

    /// <summary>True when its handlers take turns at what they share; false when each works and commits for itself.</summary>
    public bool TakesTurns { get; set; }

    public List<EndpointBinding> Bindings { get; } = [];

    public IReadOnlyCollection<Type> Messages => messages;

    public void Add(Type message, bool needsStore, EndpointBinding? binding)
    {
        if (!messages.Add(message))
        {
            throw new ArgumentException($"Queue '{Name}' already handles {message}.", nameof(message));
        }

        NeedsStore |= needsStore;
        if (binding is not null)
        {
            Bindings.Add(binding);
        }
    }
}

/// <summary>Everything that the services of this process have registered. Several services in one process share one bus and one store.</summary>
internal sealed class MeshRegistry
{
    private readonly HashSet<Type> types = [typeof(UndeliverableMessage)];
    private readonly Dictionary<string, QueueRegistration> queues = new(StringComparer.Ordinal);
    private readonly HashSet<string> readers = new(StringComparer.Ordinal);
    private readonly HashSet<string> services = new(StringComparer.Ordinal);
    private JsonSerializerOptions? json;
    private bool needsStore;

    public IReadOnlyCollection<QueueRegistration> Queues => queues.Values;

    public IReadOnlyCollection<string> Services => services;

    /// <summary>The fault points at the two sides of a commit, by the type of a message that it sends.</summary>
    public Dictionary<Type, CommitPoints> CommitPoints { get; } = [];

    public JsonSerializerOptions Json => json ?? throw new InvalidOperationException("AddSpecMesh was not called.");

    public EventTypes Types() => new(types, Json);

    public bool AddService(string service, IEnumerable<Type> messageAndEventTypes, JsonSerializerOptions options)
    {
        if (json is not null && json != options)
        {
            throw new ArgumentException("All services of one process must write JSON the same way: pass the same JsonSerializerOptions.", nameof(options));
        }

        json = options;
        types.UnionWith(messageAndEventTypes);
        return services.Add(service);
    }

    public QueueRegistration Queue(string name)
    {
        if (!queues.TryGetValue(name, out QueueRegistration? queue))
        {
            queues.Add(name, queue = new QueueRegistration(name));
        }

        return queue;
    }

    public void AddReader(string name)
    {
        needsStore = true;
        if (!readers.Add(name))
        {
            throw new ArgumentException($"There already is a subscription or view named '{name}'.", nameof(name));
        }
    }

    public IEnumerable<string> Errors(bool hasStore)
    {
        if (!hasStore && (needsStore || queues.Values.Any(queue => queue.NeedsStore)))
        {
            string users = string.Join(", ", queues.Values.Where(queue => queue.NeedsStore).Select(queue => queue.Name).Concat(readers).Order(StringComparer.Ordinal));
            yield return $"SpecMesh:Store is 'none', but these need an event store: {users}.";
        }

        foreach ((string queue, Type message) in queues.Values.SelectMany(queue => queue.Messages.Select(message => (queue.Name, message))))
        {
            if (!types.Contains(message))
            {
                yield return $"Queue '{queue}' handles {message}, which is not among the message types given to AddSpecMesh.";
            }
        }
    }
}
