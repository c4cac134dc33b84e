using System.Net;

namespace SpecMesh.Services.Tests.Gateway;

public class KeyTests
{
    [Fact]
    public async Task without_a_key_nothing_is_forwarded()
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync();

        HttpResponseMessage response = await gateway.SendAsync(HttpMethod.Get, "/v1/hosts", key: null);

        await ProblemAssert.IsAsync(response, HttpStatusCode.Unauthorized, "Authorization");
        Assert.Equal("Bearer", Assert.Single(response.Headers.WwwAuthenticate).Scheme);
        Assert.Empty(gateway.Arrived);
    }

    [Theory]
    [InlineData("Authorization", "Bearer wrong-secret-0123456789")]
    [InlineData("Authorization", "Bearer alice-secret-012345678")]
    [InlineData("Authorization", "Bearer alice-secret-01234567890")]
    [InlineData("Authorization", "Bearer ALICE-SECRET-0123456789")]
    [InlineData("Authorization", "Bearer ")]
    [InlineData("Authorization", "Bearer")]
    [InlineData("Authorization", "Basic YWxpY2Utc2VjcmV0LTAxMjM0NTY3ODk6")]
    [InlineData("X-Api-Key", "alice")]
    [InlineData("X-Api-Key", "")]
    [InlineData("X-Api-Key", "alice-secret-0123456789, alice-secret-0123456789")]
    public async Task a_wrong_key_is_refused(string header, string value)
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync();

        HttpResponseMessage response = await gateway.SendAsync(HttpMethod.Get, "/v1/hosts", key: null, body: null, (header, value));

        await ProblemAssert.IsAsync(response, HttpStatusCode.Unauthorized, header);
        Assert.Empty(gateway.Arrived);
    }

    [Fact]
    public async Task a_wrong_bearer_is_not_saved_by_a_right_second_header()
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync();

        HttpResponseMessage response = await gateway.SendAsync(HttpMethod.Get, "/v1/hosts", "wrong-secret-0123456789", null, ("X-Api-Key", RunningGateway.Key));

        Assert.Equal(HttpStatusCode.Unauthorized, response.StatusCode);
    }

    [Theory]
    [InlineData("Authorization", "Bearer bob-secret-0123456789")]
    [InlineData("authorization", "bearer bob-secret-0123456789")]
    [InlineData("x-api-key", "bob-secret-0123456789")]
    public async Task the_key_s_own_client_is_told_to_the_service_and_the_key_is_not(string header, string value)
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync();

        HttpResponseMessage response = await gateway.SendAsync(HttpMethod.Get, "/v1/hosts", key: null, body: null, (header, value));

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Arrived arrived = Assert.Single(gateway.Arrived);
        Assert.Equal("bob", arrived.Headers["X-SpecMesh-Client"]);
        Assert.DoesNotContain(arrived.Headers, pair => pair.Value.ToString().Contains("secret", StringComparison.OrdinalIgnoreCase));
    }

    [Fact]
    public async Task a_client_cannot_say_that_it_is_another()
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync();

        await gateway.SendAsync(HttpMethod.Get, "/v1/hosts", RunningGateway.Key, null, ("X-SpecMesh-Client", "operator"), ("x-specmesh-client", "bob"), ("X-SPECMESH-CLIENT", "root"));
        await gateway.SendAsync(HttpMethod.Get, "/v1/hosts", RunningGateway.Key, null, ("X-SpecMesh-Client", "operator"), ("Connection", "X-SpecMesh-Client"));

        Assert.Equal(2, gateway.Arrived.Count);
        Assert.All(gateway.Arrived, arrived => Assert.Equal("alice", arrived.Headers["X-SpecMesh-Client"]));
    }

    [Fact]
    public async Task the_services_are_shown_the_gateway_s_own_secret_and_never_what_a_client_sends_for_it()
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync();

        await gateway.SendAsync(HttpMethod.Get, "/v1/hosts");
        await gateway.SendAsync(HttpMethod.Get, "/v1/vms", RunningGateway.Key, null, ("X-SpecMesh-Gateway", "guess"), ("x-specmesh-gateway", "guess"), ("Connection", "X-SpecMesh-Gateway"));

        Assert.Equal(2, gateway.Arrived.Count);
        Assert.All(gateway.Arrived, arrived => Assert.Equal(RunningGateway.GatewayKey, arrived.Headers["X-SpecMesh-Gateway"]));
    }

    [Theory]
    [InlineData("/health/live")]
    [InlineData("/health/ready")]
    [InlineData("/openapi/v1.json")]
    public async Task probes_and_the_document_need_no_key(string path)
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync();

        Assert.Equal(HttpStatusCode.OK, (await gateway.SendAsync(HttpMethod.Get, path, key: null)).StatusCode);
    }

    [Fact]
    public async Task metrics_count_requests_and_need_a_key()
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync();
        await gateway.SendAsync(HttpMethod.Get, "/v1/hosts");

        await ProblemAssert.IsAsync(await gateway.SendAsync(HttpMethod.Get, "/metrics", key: null), HttpStatusCode.Unauthorized, "Authorization");
        string metrics = await (await gateway.SendAsync(HttpMethod.Get, "/metrics")).Content.ReadAsStringAsync();

        Assert.Contains(metrics.Split('\n'), line => line.StartsWith("http_server_request_duration", StringComparison.Ordinal) && line.Contains("/v1/hosts", StringComparison.Ordinal));
    }
}
