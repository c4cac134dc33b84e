using System.Threading.Channels;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using SpecMesh.EventStore;
using SpecMesh.Hosting;

namespace SpecMesh.Services.Tests.Hosting;

/// <summary>A started host on the embedded bus, or on the bus that a test names, with a store in a folder of its own.</summary>
internal sealed class Mesh : IAsyncDisposable
{
    /// <summary>Only against a hanging test: nothing is expected to take this long.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly IHost host;

    private Mesh(IHost host) => this.host = host;

    public IServiceProvider Services => host.Services;

    public MessageBus Bus => Services.GetRequiredService<MessageBus>();

    public IEventStore Store => Services.GetRequiredService<IEventStore>();

    public static async Task<Mesh> StartAsync(
        Action<MeshBuilder> configure, string store = "none", string bus = "memory", Func<IEventStore, IEventStore>? wrap = null, TimeProvider? time = null, int attempts = 20)
    {
        HostApplicationBuilder builder = Builder(store, bus, attempts);
        if (time is not null)
        {
            builder.Services.AddSingleton(time);
        }

        MeshBuilder mesh = builder.AddSpecMesh("counting", Counter.Types, Counter.Json);
        if (wrap is not null)
        {
            builder.Services.AddSingleton(provider => wrap(
                StoreConnection.Open(store, provider.GetRequiredService<EventTypes>(), provider.GetRequiredService<TimeProvider>())));
        }

        configure(mesh);
        IHost host = builder.Build();
        await host.StartAsync();
        return new Mesh(host);
    }

    /// <summary>Completes when every queue of the host has its consumer.</summary>
    public Task UntilConnectedAsync() => Services.GetRequiredService<BusGate>().WaitUntilReadyAsync(default).WaitAsync(Patience);

    /// <summary>Asks readiness until it is given. Every answer waits for real work, so the loop paces itself by that.</summary>
    public async Task UntilReadyAsync()
    {
        using CancellationTokenSource patience = new(Patience);
        HealthCheckService health = Services.GetRequiredService<HealthCheckService>();
        while ((await health.CheckHealthAsync(patience.Token)).Status != HealthStatus.Healthy)
        {
            await Task.Yield();
        }
    }

    public static HostApplicationBuilder Builder(string store, string bus, int attempts = 20)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Configuration.AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["SpecMesh:Store"] = store,
            ["SpecMesh:Bus"] = bus,
            ["SpecMesh:HandlerAttempts"] = attempts.ToString(System.Globalization.CultureInfo.InvariantCulture),
        });
        return builder;
    }

    public async ValueTask DisposeAsync()
    {
        await host.StopAsync();
        if (host is IAsyncDisposable disposable)
        {
            await disposable.DisposeAsync();
        }
    }
}

/// <summary>What handlers have seen, to be awaited.</summary>
internal sealed class Seen<T>
{
    private readonly Channel<T> arrived = Channel.CreateUnbounded<T>();

    public void Add(T value) => arrived.Writer.TryWrite(value);

    public async Task<T> NextAsync() => await arrived.Reader.ReadAsync().AsTask().WaitAsync(Mesh.Patience);

    public async Task<IReadOnlyList<T>> NextAsync(int count)
    {
        List<T> values = [];
        while (values.Count < count)
        {
            values.Add(await NextAsync());
        }

        return values;
    }

    /// <summary>True when nothing more has arrived.</summary>
    public bool IsEmpty => arrived.Reader.Count == 0;
}

/// <summary>A folder that is gone after the test.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("specmesh-hosting-").FullName;

    public string Store => $"sqlite:{System.IO.Path.Combine(Path, "events.db")}";

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
