using System.Net;
using System.Text;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Placement;
using SpecMesh.ReplicationPolicy;

namespace SpecMesh.Services.Tests.Hosting;

/// <summary>Services behind the gateway answer the gateway, and nobody else.</summary>
public class GatewayCredentialTests
{
    private const string ClusterKey = "cluster-secret-0123456789";

    public static TheoryData<string, string> Routes => new()
    {
        { "GET", "/v1/operations" },
        { "POST", "/v1/operations" },
        { "GET", "/v1/operations/5f1d7e84-7a2b-4c3d-9e8f-000000000001" },
        { "DELETE", "/v1/operations/5f1d7e84-7a2b-4c3d-9e8f-000000000001" },
        { "GET", "/v1/operations/5f1d7e84-7a2b-4c3d-9e8f-000000000001/events" },
        { "GET", "/v1/vms" },
        { "GET", "/v1/vms/vm-a" },
        { "GET", "/v1/hosts" },
    };

    [Fact]
    public async Task every_public_route_refuses_a_caller_without_the_gateway_s_secret()
    {
        await using RunningService service = await StartAsync();
        string?[][] attempts =
        [
            [], [""], ["wrong-proof-0123456789"], [RunningService.GatewayKey + "0"], [RunningService.GatewayKey[..^1]], [RunningService.GatewayKey.ToUpperInvariant()], [ClusterKey],
            [RunningService.GatewayKey, RunningService.GatewayKey],
        ];
        foreach ((string method, string path) in Routes.Select(row => ((string)row[0], (string)row[1])))
        {
            foreach (string?[] shown in attempts)
            {
                using HttpResponseMessage response = await SendAsync(service, method, path, shown);
                Assert.True(response.StatusCode == HttpStatusCode.Unauthorized, $"{method} {path} with {shown.Length} wrong secrets: {response.StatusCode}");
                Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
                Assert.DoesNotContain(RunningService.GatewayKey, await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
            }

            using HttpResponseMessage proven = await SendAsync(service, method, path, [RunningService.GatewayKey]);
            Assert.NotEqual(HttpStatusCode.Unauthorized, proven.StatusCode);
        }

        Assert.Empty((await service.Store.ReadAllAsync(0, 1000, default)).Events);
    }

    [Theory]
    [InlineData("/health/live")]
    [InlineData("/metrics")]
    public async Task probes_and_metrics_need_no_secret(string path)
    {
        await using RunningService service = await StartAsync();
        using HttpClient plain = new() { BaseAddress = service.Url };

        Assert.Equal(HttpStatusCode.OK, (await plain.GetAsync(path)).StatusCode);
    }

    [Theory]
    [InlineData("")]
    [InlineData("fifteen-letters")]
    [InlineData("a secret with spaces")]
    [InlineData(ClusterKey)]
    public async Task without_a_secret_of_its_own_a_service_with_routes_does_not_start(string key)
    {
        OptionsValidationException wrong = await Assert.ThrowsAsync<OptionsValidationException>(() => StartAsync(("SpecMesh:GatewayKey", key)));

        Assert.StartsWith("SpecMesh:GatewayKey must ", Assert.Single(wrong.Failures), StringComparison.Ordinal);
        Assert.True(key.Length == 0 || !wrong.Failures.Single().Contains(key, StringComparison.Ordinal));
    }

    [Fact]
    public async Task services_without_http_need_no_secret()
    {
        using TemporaryFolder folder = new();
        HostApplicationBuilder builder = Mesh.Builder(folder.Store, "memory");
        builder.Configuration["SpecMesh:ClusterKey"] = ClusterKey;
        builder.AddSpecMesh("placement", ContractCatalogue.All, ContractJson.Options).AddPlacement();
        builder.AddSpecMesh("replication-policy", ContractCatalogue.All, ContractJson.Options).AddReplicationPolicy();
        using IHost host = builder.Build();

        await host.StartAsync();
        await host.StopAsync();
    }

    private static Task<RunningService> StartAsync(params (string Key, string Value)[] settings) => RunningService.StartAsync(
        mesh => mesh.AddPlacement().AddReplicationPolicy(),
        app =>
        {
            app.MapPlacement();
            app.MapReplicationPolicy();
        },
        settings: [("SpecMesh:ClusterKey", ClusterKey), .. settings]);

    private static async Task<HttpResponseMessage> SendAsync(RunningService service, string method, string path, string?[] shown)
    {
        using HttpClient plain = new() { BaseAddress = service.Url };
        using HttpRequestMessage request = new(new HttpMethod(method), path);
        request.Headers.TryAddWithoutValidation("X-SpecMesh-Client", "operator");
        foreach (string? secret in shown)
        {
            request.Headers.TryAddWithoutValidation("X-SpecMesh-Gateway", secret);
        }

        if (method == "POST")
        {
            request.Content = new StringContent("{", Encoding.UTF8, "application/json");
        }

        return await plain.SendAsync(request);
    }
}
