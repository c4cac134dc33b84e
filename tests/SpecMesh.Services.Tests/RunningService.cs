using Microsoft.AspNetCore.Builder;
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
    /// <summary>What the service knows the gateway by, unless a test sets another one.</summary>
    public const string GatewayKey = "gateway-proof-0123456789";

    private readonly WebApplication app;
    private readonly TemporaryFolder folder;

    private RunningService(WebApplication app, TemporaryFolder folder)
    {
        (this.app, this.folder) = (app, folder);
    }

    public Uri Url => new(app.Urls.Single());

    public IServiceProvider Services => app.Services;

    public MessageBus Bus => app.Services.GetRequiredService<MessageBus>();

    public EventTypes Types => app.Services.GetRequiredService<EventTypes>();

    public IEventStore Store => app.Services.GetRequiredService<IEventStore>();

    /// <param name="configure">Adds the service, and handlers of the test's own queue <c>probe</c>.</param>
    /// <param name="map">Maps the service's HTTP side.</param>
    /// <param name="recorded">What the store holds before the service starts.</param>
    /// <param name="service">Its name, and that of its outbox.</param>
    /// <param name="settings">Settings of the service.</param>
    public static async Task<RunningService> StartAsync(
        Action<MeshBuilder> configure,
        Action<WebApplication>? map = null,
        IReadOnlyList<(string Stream, object[] Events)>? recorded = null,
        string service = "tested",
        params (string Key, string Value)[] settings)
    {
        TemporaryFolder folder = new();
        WebApplicationBuilder builder = WebApplication.CreateBuilder(new WebApplicationOptions { EnvironmentName = "Production" });
        foreach ((string key, string value) in settings.Prepend(("SpecMesh:GatewayKey", GatewayKey)).Prepend(("SpecMesh:Bus", "memory")).Prepend(("SpecMesh:Store", folder.Store)))
        {
            builder.Configuration[key] = value;
        }

        builder.Configuration["urls"] = "http://127.0.0.1:0";
        builder.Logging.ClearProviders();
        configure(builder.AddSpecMesh(service, ContractCatalogue.All, ContractJson.Options));
        RunningService running = new(builder.Build(), folder);
        try
        {
            await running.StartAsync(map, recorded);
            return running;
        }
        catch
        {
            await running.DisposeAsync();
            throw;
        }
    }

    /// <summary>A client that calls as the gateway does for one of its clients.</summary>
    public HttpClient NewClient(string client = "alice")
    {
        HttpClient http = new() { BaseAddress = Url, Timeout = Mesh.Patience };
        http.DefaultRequestHeaders.Add("X-SpecMesh-Gateway", GatewayKey);
        http.DefaultRequestHeaders.Add("X-SpecMesh-Client", client);
        return http;
    }

    /// <summary>Appends to event streams, as another service would.</summary>
    public Task RecordAsync(params (string Stream, object[] Events)[] appended) => RecordAsync(Store, appended);

    /// <summary>Records of an event stream.</summary>
    public async Task<IReadOnlyList<object>> ReadAsync(string stream) =>
        [.. (await Store.ReadStreamAsync(stream, 0, 1000, CancellationToken.None)).Select(stored => stored.Data)];

    /// <summary>Records of an event stream once there are as many, and no more.</summary>
    public async Task<IReadOnlyList<object>> ReadAsync(string stream, int count)
    {
        IReadOnlyList<object> events = await ReadAtLeastAsync(stream, count);
        Assert.Equal(count, events.Count);
        return events;
    }

    /// <summary>Records of an event stream once there are as many.</summary>
    public async Task<IReadOnlyList<object>> ReadAtLeastAsync(string stream, int count)
    {
        using CancellationTokenSource patience = new(Mesh.Patience);
        while (true)
        {
            Task change = Store.WaitForChangeAsync(TimeSpan.FromMilliseconds(500), patience.Token);
            IReadOnlyList<object> events = await ReadAsync(stream);
            if (events.Count >= count)
            {
                return events;
            }

            await change;
        }
    }

    /// <summary>When the service's next deadline falls due, once what is due now has left; null when none is left.</summary>
    public async Task<DateTimeOffset?> NextDeadlineAsync(string service)
    {
        // One dispatch waits for the other here, so that the service's own has ended when this one has.
        await Store.DispatchAsync(service, 100, (_, _) => Task.CompletedTask, CancellationToken.None);
        return await Store.NextDueAsync(service, CancellationToken.None);
    }

    public async ValueTask DisposeAsync()
    {
        await app.StopAsync();
        await app.DisposeAsync();
        folder.Dispose();
    }

    private async Task StartAsync(Action<WebApplication>? map, IReadOnlyList<(string Stream, object[] Events)>? recorded)
    {
        app.MapSpecMesh();
        map?.Invoke(app);
        if (recorded is not null)
        {
            await Store.InitializeAsync(CancellationToken.None);
            await RecordAsync(Store, recorded);
        }

        await app.StartAsync();
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
