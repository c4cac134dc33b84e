using System.Net;
using SpecMesh.Contracts;

namespace SpecMesh.Integration.Tests;

/// <summary>Bad input through the gateway: 4xx with the field named, never a 500, never a half-started operation. The whole list stands in SubmitTests, in one process.</summary>
[Collection(RunningSystemCollection.Name)]
public sealed class BadInputTests(RunningSystemFixture system)
{
    [ServersTheory]
    [InlineData("""{"kind":"Migrate","vmId":"no-such-vm"}""", 404, "vmId")]
    [InlineData("""{"vmId":"x"}""", 400, "kind")]
    [InlineData("""{"kind":"Migrate","vmId":"x","sq":2.5}""", 400, "sq")]
    [InlineData("""{"kind":"Migrate","vmId":"x","targets":["host-1","host-1"]}""", 400, "targets[1]")]
    [InlineData("""{"kind":"Migrate","vmId":"x","cost":{"timeoutSeconds":"NaN"}}""", 400, "cost.timeoutSeconds")]
    [InlineData("""{"kind":"Migrate","vmId":"x","cost":{"timeoutSeconds":1e999}}""", 400, "cost.timeoutSeconds")]
    [InlineData("""{"kind":"Migrate","vmId":"x","cost":{"timeoutMinutes":1}}""", 400, "cost.timeoutMinutes")]
    [InlineData("""{"kind":"PowerOn","vmId":"new-vm","targets":["no-such-host"],"vm":{"memoryBytes":16777216}}""", 400, "targets[0]")]
    public async Task a_bad_request_names_its_field(string body, int expected, string field)
    {
        (int status, string? named, string answer) = await system.Gateway.PostRawAsync(body);
        Assert.True(expected == status, answer);
        Assert.Equal(field, named);
    }

    [ServersTheory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{")]
    [InlineData("not json")]
    [InlineData("""{"kind":"PowerOn","vmId":"twice","vm":{"memoryBytes":16777216},"vm":{"memoryBytes":33554432}}""")]
    public async Task a_body_that_is_no_request_is_refused(string body)
    {
        (int status, _, string answer) = await system.Gateway.PostRawAsync(body);
        Assert.True(status == 400, answer);
    }

    [ServersFact]
    public async Task a_body_of_ten_megabytes_and_a_deep_one_are_refused()
    {
        (int large, _, _) = await system.Gateway.PostRawAsync("{\"kind\":\"Migrate\",\"vmId\":\"" + new string('a', 10 << 20) + "\"}");
        Assert.Equal(413, large);
        string deep = string.Concat(Enumerable.Repeat("""{"cost":""", 5000)) + "1" + new string('}', 5000);
        (int status, _, string answer) = await system.Gateway.PostRawAsync(deep);
        Assert.True(status == 400, answer);
    }

    [ServersFact]
    public async Task a_target_that_is_the_source_is_refused()
    {
        string vm = Operations.NewVm();
        OperationView start = await system.Gateway.PowerOnAsync(vm);
        (int status, string? field, string answer) = await system.Gateway.PostRawAsync($$"""{"kind":"Migrate","vmId":"{{vm}}","targets":["{{start.WinnerHostId}}"]}""");
        Assert.True(status == 400, answer);
        Assert.Equal("targets[0]", field);
        (status, field, _) = await system.Gateway.PostRawAsync($$"""{"kind":"PowerOn","vmId":"{{vm}}"}""");
        Assert.Equal(409, status);
        Assert.Equal("vmId", field);
    }

    [ServersFact]
    public async Task the_same_key_is_the_same_operation_and_another_body_under_it_is_refused()
    {
        string vm = Operations.NewVm(), key = Guid.NewGuid().ToString();
        string body = $$$"""{"kind":"PowerOn","vmId":"{{{vm}}}","vm":{"memoryBytes":16777216}}""";
        (int first, _, string accepted) = await system.Gateway.PostRawAsync(body, key);
        (int second, _, string repeated) = await system.Gateway.PostRawAsync(body, key);
        (int third, string? field, _) = await system.Gateway.PostRawAsync(body.Replace("16777216", "33554432", StringComparison.Ordinal), key);
        Assert.Equal((202, 202, 409), (first, second, third));
        Assert.Equal(accepted, repeated);
        Assert.Equal("Idempotency-Key", field);
    }

    [ServersFact]
    public async Task strangers_and_unknown_things_get_4xx()
    {
        using HttpClient stranger = new() { BaseAddress = system.Gateway.BaseAddress };
        Assert.Equal(HttpStatusCode.Unauthorized, (await stranger.GetAsync("/v1/vms")).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await system.Gateway.GetAsync($"/v1/operations/{Guid.NewGuid()}")).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await system.Gateway.GetAsync($"/v1/operations/{Guid.NewGuid()}/events")).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await system.Gateway.DeleteAsync($"/v1/operations/{Guid.NewGuid()}")).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await system.Gateway.GetAsync("/v1/operations/not-an-id")).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await system.Gateway.GetAsync("/ownership/x")).StatusCode);
        Assert.Equal(HttpStatusCode.BadRequest, (await system.Gateway.GetAsync("/v1/operations?limit=-1")).StatusCode);
    }

    [ServersFact]
    public async Task an_agent_without_the_clusters_key_owns_nothing()
    {
        using HttpClient policy = new() { BaseAddress = new Uri(system.Up.Services["replication-policy"]) };
        Assert.Equal(HttpStatusCode.Unauthorized, (await policy.GetAsync("/ownership/some-vm")).StatusCode);
        policy.DefaultRequestHeaders.TryAddWithoutValidation("Authorization", "SpecMesh host-1:" + new string('0', 64));
        Assert.Equal(HttpStatusCode.Unauthorized, (await policy.GetAsync("/ownership/some-vm")).StatusCode);
    }

    [ServersFact]
    public async Task a_caller_that_goes_around_the_gateway_is_answered_by_no_service_behind_it()
    {
        using HttpClient stranger = new();
        stranger.DefaultRequestHeaders.Add("X-SpecMesh-Client", "operator");
        foreach (string address in (string[])[system.Up.Services["replication-policy"] + "/v1/vms", system.Up.Services["placement"] + "/v1/hosts"])
        {
            Assert.Equal(HttpStatusCode.Unauthorized, (await stranger.GetAsync(address)).StatusCode);
        }

        using HttpResponseMessage submitted = await stranger.PostAsync(system.Up.Services["replication-policy"] + "/v1/operations", new StringContent("{}"));
        Assert.Equal(HttpStatusCode.Unauthorized, submitted.StatusCode);
    }

    [ServersFact]
    public async Task the_lists_and_the_metrics_answer()
    {
        string hosts = await system.Gateway.GetStringAsync("/v1/hosts");
        Assert.Contains("host-5", hosts, StringComparison.Ordinal);
        Assert.StartsWith("[", await system.Gateway.GetStringAsync("/v1/vms"), StringComparison.Ordinal);
        Assert.Contains("/v1/operations", await system.Gateway.GetStringAsync("/openapi/v1.json"), StringComparison.Ordinal);
        using HttpClient plain = new();
        foreach ((string service, string address) in system.Up.Services)
        {
            Assert.True((await plain.GetAsync(address + "/health/ready")).IsSuccessStatusCode, service);
            // The gateway faces the outside, so its metrics need a key as everything else there.
            HttpClient reader = service == "gateway" ? system.Gateway : plain;
            Assert.True((await reader.GetAsync(address + "/metrics")).IsSuccessStatusCode, service);
        }
    }
}
