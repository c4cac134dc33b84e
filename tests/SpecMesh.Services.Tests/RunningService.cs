using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.Hosting;
using SpecMesh.Services.Tests.Hosting;

namespace SpecMesh.Services.Tests;

/// <summary>A service on the embedded bus with a store of its own, and a queue beside it that hears what the service publishes.</summary>
internal sealed class RunningService : IAsyncDisposable
{
    private readonly WebApplication app;
    private readonly TemporaryFolder folder;

    private RunningService(WebApplication app, TemporaryFolder folder)
    {
        this.app = app;
        this.folder = folder;
        Url = new Uri(app.Urls.Single());
    }

    public Uri Url { get; }

    public MessageBus Bus => app.Services.GetRequiredService<MessageBus>();

    public IServiceProvider Services => app.Services;

    public EventTypes Types => app.Services.GetRequiredService<EventTypes>();

    public IEventStore Store => app.Services.GetRequiredService<IEventStore>();

    /// <param name="configure">Adds the service, and handlers of the test's own queue <c>probe</c>.</param>
    /// <param name="map">Maps the service's HTTP side.</param>
    /// <param name="recorded">What the store holds before the service starts.</param>
    /// <param name="settings">Settings of the service.</param>
    public static async Task<RunningService> StartAsync(
        Action<MeshBuilder> configure,
        Action<WebApplication>? map = null,
        IReadOnlyList<(string Stream, object[] Events)>? recorded = null,
        params (string Key, string Value)[] settings)
    {
        TemporaryFolder folder = new();
        WebApplicationBuilder builder = WebApplication.CreateBuilder(new WebApplicationOptions { EnvironmentName = "Production" });
        builder.Configuration.AddInMemoryCollection(settings.Append(("urls", "http://127.0.0.1:0")).Append(("SpecMesh:Store", folder.Store)).Append(("SpecMesh:Bus", "memory"))
            .Select(pair => KeyValuePair.Create(pair.Item1, (string?)pair.Item2)));
        builder.Logging.ClearProviders();
        configure(builder.AddSpecMesh("tested", ContractCatalogue.All, ContractJson.Options));
        WebApplication app = builder.Build();
        app.MapSpecMesh();
        map?.Invoke(app);
        if (recorded is not null)
        {
            IEventStore store = app.Services.GetRequiredService<IEventStore>();
            await store.InitializeAsync(CancellationToken.None);
            await RecordAsync(store, recorded);
        }

        await app.StartAsync();
        return new RunningService(app, folder);
    }

    /// <summary>Appends to event streams, as another service would.</summary>
    public Task RecordAsync(params (string Stream, object[] Events)[] appended) => RecordAsync(Store, appended);

    /// <summary>Records of an event stream.</summary>
    public async Task<IReadOnlyList<object>> ReadAsync(string stream) =>
        [.. (await Store.ReadStreamAsync(stream, 0, 1000, CancellationToken.None)).Select(stored => stored.Data)];

    /// <summary>Records of an event stream once there are as many.</summary>
    public async Task<IReadOnlyList<object>> ReadAsync(string stream, int count)
    {
        using CancellationTokenSource patience = new(Mesh.Patience);
        while (true)
        {
            Task change = Store.WaitForChangeAsync(TimeSpan.FromMilliseconds(500), patience.Token);
            IReadOnlyList<object> events = await ReadAsync(stream);
            if (events.Count >= count)
            {
                Assert.Equal(count, events.Count);
                return events;
            }

            await change;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await app.StopAsync();
        await app.DisposeAsync();
        folder.Dispose();
    }

    private static async Task RecordAsync(IEventStore store, IReadOnlyList<(string Stream, object[] Events)> appended)
    {
        foreach ((string stream, object[] events) in appended)
        {
            IReadOnlyList<StoredEvent> before = await store.ReadStreamAsync(stream, 0, 1000, CancellationToken.None);
            await store.CommitAsync(new Commit("test", [new StreamAppend(stream, "test", before.Count, events)], []), CancellationToken.None);
        }
    }
}
