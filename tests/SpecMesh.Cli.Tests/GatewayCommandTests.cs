using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

namespace SpecMesh.Cli.Tests;

/// <summary>What the commands send to the gateway, and what they make of its answers.</summary>
public sealed class GatewayCommandTests
{
    private const string Operation = "0199a3c4-5b6d-7e8f-9a0b-1c2d3e4f5061";
    private const string Accepted = $$"""{"operationId":"{{Operation}}"}""";

    [Fact]
    public async Task a_migration_is_sent_with_every_wish_and_nothing_else()
    {
        await using ScriptedGateway gateway = await ScriptedGateway.StartAsync(202, Accepted);
        (int status, string output, _) = await gateway.RunAsync(
            "vm", "migrate", "vm-1", "--sq", "3", "--to", "host-2,host-3", "--to", "host-4", "--timeout", "1.5m", "--target-choice", "random", "--manager", "speculative",
            "--idempotency-key", "again");
        Assert.Equal((0, Operation), (status, output.Trim()));
        SeenRequest request = Assert.Single(gateway.Seen);
        Assert.Equal(("POST", "/v1/operations", "Bearer the-key", "again"), (request.Method, request.PathAndQuery, request.Authorization, request.IdempotencyKey));
        AssertJson("""
            {"kind":"Migrate","vmId":"vm-1","sq":3,"targets":["host-2","host-3","host-4"],"cost":{"timeoutSeconds":90},"targetChoice":"random","manager":"speculative"}
            """, request.Body);
    }

    [Fact]
    public async Task limits_and_the_choice_of_replicas_are_sent_as_they_are_written()
    {
        await using ScriptedGateway gateway = await ScriptedGateway.StartAsync(202, Accepted);
        await gateway.RunAsync(
            "vm", "migrate", "vm-1", "--max-bytes", "2GiB", "--max-cpu", "20s", "--max-memory", "120", "--max-operation-bytes", "3G", "--min-progress", "5%", "--abort-last",
            "--replication", "adaptive", "--epsilon", "0.5%", "--max-replicas", "4");
        await gateway.RunAsync("vm", "start", "vm-1", "--replication", "hedged", "--hedge-delay", "20s", "--sq", "2", "--timeout", "60s", "--min-progress", "0.1");
        AssertJson("""
            {"kind":"Migrate","vmId":"vm-1",
             "cost":{"maxBytes":2147483648,"maxCpuSeconds":20,"maxMemoryGibSeconds":120,"maxOperationBytes":3221225472,"minProgress":0.05,"abortLast":true},
             "replication":{"policy":"adaptive","epsilon":0.005,"maxReplicas":4}}
            """, gateway.Seen[0].Body);
        AssertJson("""
            {"kind":"PowerOn","vmId":"vm-1","sq":2,"cost":{"timeoutSeconds":60,"minProgress":0.1},"replication":{"policy":"hedged","hedgeDelaySeconds":20}}
            """, gateway.Seen[1].Body);
    }

    [Fact]
    public async Task a_start_defines_the_machine_when_memory_is_given()
    {
        await using ScriptedGateway gateway = await ScriptedGateway.StartAsync(202, Accepted);
        await gateway.RunAsync("vm", "start", "vm-1", "--memory", "512MiB", "--write-rate", "2000", "--seed", "7");
        await gateway.RunAsync("vm", "start", "vm-1");
        AssertJson("""{"kind":"PowerOn","vmId":"vm-1","vm":{"memoryBytes":536870912,"writePagesPerSecond":2000,"seed":7}}""", gateway.Seen[0].Body);
        AssertJson("""{"kind":"PowerOn","vmId":"vm-1"}""", gateway.Seen[1].Body);
        Assert.NotEqual(gateway.Seen[0].IdempotencyKey, gateway.Seen[1].IdempotencyKey);
    }

    [Fact]
    public async Task a_refusal_is_told_with_the_field_at_fault()
    {
        await using ScriptedGateway gateway = await ScriptedGateway.StartAsync(422, """{"title":"Refused","detail":"No such host.","errors":{"targets[1]":["host-9 is not known."]}}""");
        (int status, string output, string error) = await gateway.RunAsync("vm", "migrate", "vm-1", "--to", "host-2,host-9");
        Assert.Equal((1, ""), (status, output));
        Assert.Contains("422 Refused: No such host.", error, StringComparison.Ordinal);
        Assert.Contains("field targets[1]: host-9 is not known.", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("vm", "migrate")]
    [InlineData("vm", "migrate", "vm-1", "--timeout", "soon")]
    [InlineData("vm", "migrate", "vm-1", "--max-bytes", "-1")]
    [InlineData("vm", "migrate", "vm-1", "--min-progress", "fast")]
    [InlineData("vm", "migrate", "vm-1", "--epsilon", "1%")]
    [InlineData("vm", "start", "vm-1", "--memory", "much")]
    [InlineData("vm", "start", "vm-1", "--seed", "7")]
    [InlineData("op", "show", "not-an-id")]
    [InlineData("op", "list", "--limt", "3")]
    [InlineData("host")]
    [InlineData("up", "--port-base", "99999")]
    public async Task a_wrong_command_line_sends_nothing_and_ends_with_two(params string[] args)
    {
        await using ScriptedGateway gateway = await ScriptedGateway.StartAsync(200, "[]");
        (int status, _, string error) = await gateway.RunAsync(args);
        Assert.Equal(2, status);
        Assert.StartsWith("specmesh: ", error, StringComparison.Ordinal);
        Assert.Empty(gateway.Seen);
    }

    [Fact]
    public async Task a_list_is_a_table_with_the_fields_of_the_answer_and_json_when_asked_for()
    {
        const string Hosts = """[{"hostId":"host-1","failureDomain":"rack-a","suspected":null},{"hostId":"host-2","failureDomain":"rack-b","suspected":{"code":"heartbeats-missed","detail":"No beat."}}]""";
        await using ScriptedGateway gateway = await ScriptedGateway.StartAsync(200, Hosts);
        (int status, string table, _) = await gateway.RunAsync("host", "list");
        (_, string json, _) = await gateway.RunAsync("host", "list", "--json");
        Assert.Equal(0, status);
        Assert.Equal(["hostId\tfailureDomain\tsuspected", "host-1\track-a\t", "host-2\track-b\theartbeats-missed (No beat.)"], table.TrimEnd('\n').Split('\n'));
        AssertJson(Hosts, json);
        Assert.All(gateway.Seen, request => Assert.Equal("/v1/hosts", request.PathAndQuery));
    }

    [Fact]
    public async Task operations_are_listed_shown_and_cancelled()
    {
        await using ScriptedGateway gateway = await ScriptedGateway.StartAsync(200, """{"operationId":"x","state":"Racing","replicas":[{"replica":0,"hostId":"host-2"}]}""");
        await gateway.RunAsync("op", "list", "--limit", "5");
        (_, string shown, _) = await gateway.RunAsync("op", "show", Operation);
        (int status, _, _) = await gateway.RunAsync("op", "cancel", Operation);
        Assert.Equal(0, status);
        Assert.Contains("state\tRacing", shown, StringComparison.Ordinal);
        Assert.Contains("0\thost-2", shown, StringComparison.Ordinal);
        Assert.Equal(
            ["GET /v1/operations?limit=5", $"GET /v1/operations/{Operation}", $"DELETE /v1/operations/{Operation}"],
            gateway.Seen.Select(request => $"{request.Method} {request.PathAndQuery}"));
    }

    [Theory]
    [InlineData("Succeeded", 0)]
    [InlineData("Failed", 1)]
    [InlineData("Cancelled", 1)]
    public async Task a_watch_follows_the_events_over_a_broken_connection_to_the_outcome(string outcome, int expected)
    {
        await using ScriptedGateway gateway = await ScriptedGateway.StartAsync(async (number, context) =>
        {
            context.Response.ContentType = "text/event-stream";
            if (number == 0)
            {
                // A promised length that is not kept: the server closes the connection in the middle of the answer.
                context.Response.ContentLength = 100_000;
                await context.Response.WriteAsync(Event(1, "spec_op_accepted", """{"vmId":"vm-1"}""") + Event(2, "replicas_planned", "{}"));
                return;
            }

            if (number == 1)
            {
                context.Abort();
                return;
            }

            await context.Response.WriteAsync(": still here\n\n" + Event(3, "spec_op_completed", $$"""{"outcome":"{{outcome}}"}""") + Event(4, "spec_op_settled", "{}"));
        });
        (int status, string output, _) = await gateway.RunAsync("op", "watch", Operation);
        Assert.Equal(expected, status);
        Assert.Equal(5, output.TrimEnd('\n').Split('\n').Length);
        Assert.EndsWith($"{Operation} {outcome}\n", output, StringComparison.Ordinal);
        Assert.Equal([null, "2", "2"], gateway.Seen.Select(request => request.LastEventId));
    }

    [Fact]
    public async Task waiting_for_a_migration_ends_with_its_outcome()
    {
        await using ScriptedGateway gateway = await ScriptedGateway.StartAsync((_, context) => context.Request.Method == "POST"
            ? ScriptedGateway.AnswerAsync(context, 202, Accepted)
            : EventsAsync(context, Event(1, "spec_op_refused", """{"field":"vmId","reason":{"code":"unknown-vm","detail":"vm-1 is not known."}}""")));
        (int status, string output, _) = await gateway.RunAsync("vm", "migrate", "vm-1", "--wait", "--json");
        Assert.Equal(1, status);
        AssertJson("""{"version":1,"event":"spec_op_refused","data":{"field":"vmId","reason":{"code":"unknown-vm","detail":"vm-1 is not known."}}}""", output);
    }

    [Fact]
    public async Task an_unreachable_gateway_and_a_missing_key_file_are_told_plainly()
    {
        await using ScriptedGateway gateway = await ScriptedGateway.StartAsync(200, "[]");
        (int unreachable, _, string error) = await gateway.RunAsync("vm", "list", "--gateway", "http://127.0.0.1:1");
        (int unreadable, _, string keyError) = await gateway.RunAsync("vm", "list", "--api-key-file", "/nowhere/key");
        Assert.Equal((1, 1), (unreachable, unreadable));
        Assert.Contains("http://127.0.0.1:1/ cannot be reached", error, StringComparison.Ordinal);
        Assert.Contains("The API key cannot be read", keyError, StringComparison.Ordinal);
    }

    private static Task EventsAsync(HttpContext context, string events)
    {
        context.Response.ContentType = "text/event-stream";
        return context.Response.WriteAsync(events);
    }

    private static string Event(long id, string alias, string data) => $"id: {id}\nevent: {alias}\ndata: {data}\n\n";

    private static void AssertJson(string expected, string actual) => Assert.True(JsonNode.DeepEquals(JsonNode.Parse(expected), JsonNode.Parse(actual)), actual);
}
