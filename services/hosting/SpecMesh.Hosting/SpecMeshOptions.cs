using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using SpecMesh.EventStore;

namespace SpecMesh.Hosting;

/// <summary>The configuration section <c>SpecMesh</c>. Every error in it is reported at once, at start.</summary>
public sealed record SpecMeshOptions
{
    /// <summary>Name of the configuration section.</summary>
    public const string Section = "SpecMesh";

    /// <summary>The embedded bus: one process, nothing installed, messages on their way are lost with the process.</summary>
    public const string MemoryBus = "memory";

    /// <summary>No event store: for agents and command lines, which only send and receive.</summary>
    public const string NoStore = "none";

    /// <summary><c>memory</c>, or <c>rabbitmq://user:password@host:port/vhost</c> (<c>rabbitmqs</c> for TLS).</summary>
    public string Bus { get; init; } = MemoryBus;

    /// <summary><c>none</c>, <c>sqlite:PATH</c>, or <c>postgres://user:password@host:port/database</c>.</summary>
    public string Store { get; init; } = NoStore;

    /// <summary>Messages that one queue's consumer holds at a time, 1 to 1000.</summary>
    public int Prefetch { get; init; } = 32;

    /// <summary>How often a message is handled before a lost race for an event stream sends it to the error queue, 1 to 100.</summary>
    public int HandlerAttempts { get; init; } = 20;

    /// <summary>
    /// Outbox messages that are published together, 1 to 64. The bound is half of the broker client's window of unconfirmed messages,
    /// above which that client slows every publish down.
    /// </summary>
    public int OutboxBatch { get; init; } = 64;

    /// <summary>Seconds after which a temporary queue without a consumer is deleted, 1 to 86 400.</summary>
    public int TemporaryQueueSeconds { get; init; } = 60;

    /// <summary>Seconds that handlers in flight may take to finish when the process stops, 1 to 600.</summary>
    public int StopSeconds { get; init; } = 15;

    internal bool HasStore => Store != NoStore;

    internal static SpecMeshOptions Read(IConfiguration configuration) =>
        configuration.GetSection(Section).Get<SpecMeshOptions>() ?? new SpecMeshOptions();
}

/// <summary>Checks the section <c>SpecMesh</c> together with what the services have registered, and names the setting in every error.</summary>
internal sealed class SpecMeshOptionsValidator(MeshRegistry registry, IConfiguration configuration, IServiceProvider services) : IValidateOptions<SpecMeshOptions>
{
    public ValidateOptionsResult Validate(string? name, SpecMeshOptions options)
    {
        List<string> errors = [];
        if (options.Bus != SpecMeshOptions.MemoryBus && !BusUrl.TryParse(options.Bus, out _))
        {
            errors.Add($"SpecMesh:Bus is '{SecretMask.Mask(options.Bus)}'; it must be 'memory' or 'rabbitmq://user:password@host:port/vhost'.");
        }

        if (configuration[Observability.EndpointSetting] is { Length: > 0 } collector && !Uri.TryCreate(collector, UriKind.Absolute, out _))
        {
            errors.Add($"{Observability.EndpointSetting} is '{SecretMask.Mask(collector)}'; it must be an absolute URL.");
        }

        if (configuration[FaultPoints.Setting] is { } points && !Directory.Exists(points))
        {
            errors.Add($"{FaultPoints.Setting} is '{points}'; it must be a directory, or not be set at all.");
        }

        bool hasStore = options.HasStore;
        try
        {
            services.GetRequiredService<EventTypes>();
            hasStore = services.GetService<IEventStore>() is not null;
        }
        catch (ArgumentException exception)
        {
            errors.Add(exception.ParamName == "types" ? exception.Message : $"SpecMesh:Store is refused: {exception.Message}");
        }

        Range(errors, nameof(options.Prefetch), options.Prefetch, 1, 1000);
        Range(errors, nameof(options.HandlerAttempts), options.HandlerAttempts, 1, 100);
        Range(errors, nameof(options.OutboxBatch), options.OutboxBatch, 1, 64);
        Range(errors, nameof(options.TemporaryQueueSeconds), options.TemporaryQueueSeconds, 1, 86_400);
        Range(errors, nameof(options.StopSeconds), options.StopSeconds, 1, 600);
        errors.AddRange(registry.Errors(hasStore));
        return errors.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(errors);
    }

    private static void Range(List<string> errors, string setting, int value, int least, int most)
    {
        if (value < least || value > most)
        {
            errors.Add($"SpecMesh:{setting} is {value}; it must be from {least} to {most}.");
        }
    }
}
