using System.Net;
using System.Net.Http.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace SpecMesh.Services.Tests.Gateway;

public class RoutingTests
{
    [Theory]
    [InlineData("GET", "/v1/operations?limit=5&state=running")]
    [InlineData("POST", "/v1/operations")]
    [InlineData("GET", "/v1/operations/5f1d7e84-7a2b-4c3d-9e8f-000000000001")]
    [InlineData("DELETE", "/v1/operations/5f1d7e84-7a2b-4c3d-9e8f-000000000001")]
    [InlineData("GET", "/v1/operations/5f1d7e84-7a2b-4c3d-9e8f-000000000001/events")]
    [InlineData("GET", "/v1/vms")]
    [InlineData("GET", "/v1/vms/vm-1")]
    [InlineData("GET", "/v1/hosts")]
    public async Task a_public_path_is_forwarded_as_it_is(string method, string path)
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync();

        HttpResponseMessage response = await gateway.SendAsync(new HttpMethod(method), path, body: method == "POST" ? JsonContent.Create(new { a = 1 }) : null);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Arrived arrived = Assert.Single(gateway.Arrived);
        Assert.Equal((method, path, method == "POST" ? """{"a":1}""" : ""), (arrived.Method, arrived.Path, arrived.Body));
    }

    [Theory]
    [InlineData("/")]
    [InlineData("/v1")]
    [InlineData("/v2/operations")]
    [InlineData("/v1/ownership/vm-1/transfer")]
    [InlineData("/internal/ownership/vm-1")]
    [InlineData("/v1/operations/a/b/c")]
    [InlineData("/v1/operations/%2e%2e/%2e%2e/internal/ownership")]
    [InlineData("/v1/operations/a/events/../../../../ownership/vm-1")]
    [InlineData("/metrics/../ownership/vm-1")]
    public async Task what_is_not_public_is_not_found(string path)
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync();

        await ProblemAssert.IsAsync(await gateway.SendAsync(HttpMethod.Get, path), HttpStatusCode.NotFound);
        Assert.Empty(gateway.Arrived);
    }

    [Theory]
    [InlineData("PUT", "/v1/operations", "GET, POST")]
    [InlineData("POST", "/v1/hosts", "GET")]
    [InlineData("PATCH", "/v1/operations/1", "DELETE, GET")]
    [InlineData("TRACE", "/v1/hosts", "GET")]
    public async Task another_method_is_refused_with_those_that_are_allowed(string method, string path, string allowed)
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync();

        HttpResponseMessage response = await gateway.SendAsync(new HttpMethod(method), path);

        await ProblemAssert.IsAsync(response, HttpStatusCode.MethodNotAllowed);
        Assert.Equal(allowed, string.Join(", ", response.Content.Headers.Allow.Order()));
        Assert.Empty(gateway.Arrived);
    }

    [Fact]
    public async Task a_service_s_own_refusal_passes_unchanged()
    {
        const string Refusal = """{"status":409,"title":"Conflict","detail":"vm-1 is in another operation.","field":"vmId"}""";
        await using RunningGateway gateway = await RunningGateway.StartAsync(context =>
        {
            context.Response.StatusCode = StatusCodes.Status409Conflict;
            context.Response.ContentType = "application/problem+json";
            return context.Response.WriteAsync(Refusal);
        });

        HttpResponseMessage response = await gateway.SendAsync(HttpMethod.Post, "/v1/operations", body: JsonContent.Create(new { }));

        Assert.Equal(HttpStatusCode.Conflict, response.StatusCode);
        Assert.Equal(Refusal, await response.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task a_service_s_wordless_refusal_gets_the_gateway_s_words()
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync(context =>
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return Task.CompletedTask;
        });

        await ProblemAssert.IsAsync(await gateway.SendAsync(HttpMethod.Get, "/v1/operations/not-an-id"), HttpStatusCode.NotFound);
        Assert.Single(gateway.Arrived);
    }

    [Fact]
    public async Task a_service_that_is_gone_is_a_bad_gateway_without_its_address()
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync();
        await gateway.StopUpstreamAsync();

        await ProblemAssert.IsAsync(await gateway.SendAsync(HttpMethod.Get, "/v1/hosts"), HttpStatusCode.BadGateway);
    }

    [Fact]
    public async Task a_service_that_breaks_off_is_a_bad_gateway()
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync(context =>
        {
            context.Abort();
            return Task.CompletedTask;
        });

        await ProblemAssert.IsAsync(await gateway.SendAsync(HttpMethod.Get, "/v1/hosts"), HttpStatusCode.BadGateway);
    }

    [Fact]
    public async Task a_service_that_takes_too_long_is_a_gateway_timeout_and_is_told_to_stop()
    {
        TaskCompletionSource stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using RunningGateway gateway = await RunningGateway.StartAsync(
            context =>
            {
                context.RequestAborted.Register(stopped.SetResult);
                return stopped.Task;
            },
            settings: [("SpecMesh:AnswerSeconds", "1")]);

        await ProblemAssert.IsAsync(await gateway.SendAsync(HttpMethod.Get, "/v1/hosts"), HttpStatusCode.GatewayTimeout);
        await stopped.Task.WaitAsync(TimeSpan.FromMinutes(1));
    }

    [Fact]
    public async Task an_event_reaches_the_client_while_the_service_still_holds_the_next_one()
    {
        TaskCompletionSource firstWasRead = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using RunningGateway gateway = await RunningGateway.StartAsync(async context =>
        {
            context.Response.ContentType = "text/event-stream";
            await context.Response.WriteAsync("id: 1\ndata: {}\n\n");
            await context.Response.Body.FlushAsync();
            await firstWasRead.Task.WaitAsync(TimeSpan.FromMinutes(1));
            await context.Response.WriteAsync("id: 2\ndata: {}\n\n");
        });

        HttpResponseMessage response = await gateway.SendAsync(HttpMethod.Get, "/v1/operations/1/events", RunningGateway.Key, null, ("Last-Event-ID", "0"));
        using StreamReader reader = new(await response.Content.ReadAsStreamAsync());

        Assert.Equal("text/event-stream", response.Content.Headers.ContentType?.MediaType);
        Assert.Equal("id: 1", await reader.ReadLineAsync());
        firstWasRead.SetResult();
        Assert.Equal("data: {}\n\nid: 2\ndata: {}\n\n", await reader.ReadToEndAsync());
        Assert.Equal("0", Assert.Single(gateway.Arrived).Headers["Last-Event-ID"]);
    }

    [Fact]
    public async Task a_service_may_speak_http_2_without_tls()
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync(
            context => context.Response.WriteAsync(context.Request.Protocol), HttpProtocols.Http2, ("SpecMesh:UpstreamHttp2", "true"));

        HttpResponseMessage response = await gateway.SendAsync(HttpMethod.Get, "/v1/hosts");

        Assert.Equal("HTTP/2", await response.Content.ReadAsStringAsync());
    }
}
