using System.Collections.Concurrent;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;
using SpecMesh.Gateway;

namespace SpecMesh.Services.Tests.Gateway;

/// <summary>A request as it reached the service behind the gateway.</summary>
internal sealed record Arrived(string Method, string Path, IHeaderDictionary Headers, string Body);

/// <summary>A gateway on a free loopback port with a scripted service behind it.</summary>
internal sealed class RunningGateway : IAsyncDisposable
{
    public const string Key = "alice-secret-0123456789";
    public const string NeighbourKey = "bob-secret-0123456789";

    /// <summary>What the services know the gateway by.</summary>
    public const string GatewayKey = "gateway-proof-0123456789";

    private readonly WebApplication upstream;
    private readonly WebApplication gateway;

    private RunningGateway(WebApplication upstream, WebApplication gateway, ConcurrentQueue<Arrived> arrived)
    {
        this.upstream = upstream;
        this.gateway = gateway;
        Arrived = arrived;
        Url = new Uri(gateway.Urls.Single());
        Client = new HttpClient { BaseAddress = Url, Timeout = TimeSpan.FromMinutes(1) };
    }

    public ConcurrentQueue<Arrived> Arrived { get; }

    public Uri Url { get; }

    /// <summary>A client without a key.</summary>
    public HttpClient Client { get; }

    public IServiceProvider Services => gateway.Services;

    /// <param name="answer">What the service does with a request; null: 200 with an empty JSON object.</param>
    /// <param name="protocols">What the service speaks.</param>
    /// <param name="settings">Further settings of the gateway.</param>
    public static async Task<RunningGateway> StartAsync(
        RequestDelegate? answer = null,
        HttpProtocols protocols = HttpProtocols.Http1,
        params (string Key, string Value)[] settings)
    {
        ConcurrentQueue<Arrived> arrived = [];
        WebApplication upstream = await StartUpstreamAsync(arrived, answer ?? (context => context.Response.WriteAsJsonAsync(new { })), protocols);
        WebApplicationBuilder builder = NewBuilder();
        Dictionary<string, string?> configuration = Settings(upstream.Urls.Single());
        foreach ((string key, string value) in settings)
        {
            configuration[key] = value;
        }

        builder.Configuration.AddInMemoryCollection(configuration);
        WebApplication gateway = builder.AddGateway().Build();
        gateway.UseGateway();
        await gateway.StartAsync();
        return new RunningGateway(upstream, gateway, arrived);
    }

    public static Dictionary<string, string?> Settings(string upstream) => new()
    {
        ["urls"] = "http://127.0.0.1:0",
        ["SpecMesh:ApiKeys:0:Name"] = "alice",
        ["SpecMesh:ApiKeys:0:Key"] = Key,
        ["SpecMesh:ApiKeys:1:Name"] = "bob",
        ["SpecMesh:ApiKeys:1:Key"] = NeighbourKey,
        ["SpecMesh:GatewayKey"] = GatewayKey,
        ["SpecMesh:ReplicationPolicyUrl"] = upstream,
        ["SpecMesh:PlacementUrl"] = upstream,
    };

    public static WebApplicationBuilder NewBuilder()
    {
        WebApplicationBuilder builder = WebApplication.CreateBuilder(new WebApplicationOptions { EnvironmentName = "Production" });
        builder.Logging.ClearProviders();
        return builder;
    }

    public async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, string? key = Key, HttpContent? body = null, params (string Name, string Value)[] headers)
    {
        HttpRequestMessage request = new(method, path) { Content = body };
        if (key is not null)
        {
            request.Headers.Add("Authorization", $"Bearer {key}");
        }

        foreach ((string name, string value) in headers)
        {
            Assert.True(request.Headers.TryAddWithoutValidation(name, value));
        }

        return await Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
    }

    public Task StopUpstreamAsync() => upstream.StopAsync();

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await gateway.DisposeAsync();
        await upstream.DisposeAsync();
    }

    private static async Task<WebApplication> StartUpstreamAsync(ConcurrentQueue<Arrived> arrived, RequestDelegate answer, HttpProtocols protocols)
    {
        WebApplicationBuilder builder = NewBuilder();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(System.Net.IPAddress.Loopback, 0, listen => listen.Protocols = protocols));
        WebApplication upstream = builder.Build();
        upstream.Run(async context =>
        {
            using StreamReader reader = new(context.Request.Body);
            HeaderDictionary headers = [];
            foreach ((string name, Microsoft.Extensions.Primitives.StringValues value) in context.Request.Headers)
            {
                headers[name] = value;
            }

            arrived.Enqueue(new Arrived(context.Request.Method, context.Request.Path + context.Request.QueryString.ToString(), headers, await reader.ReadToEndAsync()));
            await answer(context);
        });
        await upstream.StartAsync();
        return upstream;
    }
}
