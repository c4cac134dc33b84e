using Microsoft.AspNetCore.Http;

namespace SpecMesh.Cli.Tests;

/// <summary>What an operator does about a host, and what the doctor makes of the gateway's answers.</summary>
public sealed class DoctorCommandTests
{
    private const string Host = """[{"hostId":"host-1","failureDomain":"r","memoryBytes":1,"allocatedBytes":0,"reservedBytes":0,"freeBytes":1,"inMaintenance":false,"suspicion":null,"secondsSinceBeat":0.5,"dataEndpoint":null,"hypervisor":null,"dirtyTracker":null,"guests":[],"reservations":[],"fenced":null}]""";
    private const string Vm = """[{"vmId":"vm-1","vm":null,"ownerHostId":"host-1","epoch":1,"openOperationId":null,"state":"Running","stateReason":null}]""";

    [Fact]
    public async Task a_host_is_fenced_by_its_name_said_twice()
    {
        await using ScriptedGateway gateway = await ScriptedGateway.StartAsync(202, """{"hostId":"host-1"}""");
        (int status, string output, _) = await gateway.RunAsync("host", "fence", "host-1", "--confirm", "host-1");
        Assert.Equal(0, status);
        Assert.Contains("host-1 is confirmed dead", output, StringComparison.Ordinal);
        SeenRequest request = Assert.Single(gateway.Seen);
        Assert.Equal(("POST", "/v1/hosts/host-1/fence", """{"confirm":"host-1"}"""), (request.Method, request.PathAndQuery, request.Body));
    }

    [Theory]
    [InlineData("host", "fence", "host-1")]
    [InlineData("host", "fence", "host-1", "--confirm", "host-2")]
    [InlineData("host", "maintenance", "host-1", "maybe")]
    public async Task a_confirmation_that_is_none_sends_nothing(params string[] args)
    {
        await using ScriptedGateway gateway = await ScriptedGateway.StartAsync(202, "{}");
        (int status, _, string error) = await gateway.RunAsync(args);
        Assert.Equal(2, status);
        Assert.NotEmpty(error);
        Assert.Empty(gateway.Seen);
    }

    [Fact]
    public async Task a_system_that_is_as_recorded_is_told_so()
    {
        await using ScriptedGateway gateway = await ScriptedGateway.StartAsync((_, context) => ScriptedGateway.AnswerAsync(context, 200, "[]"));
        (int status, string output, _) = await gateway.RunAsync("doctor");
        Assert.Equal((0, "Everything is as recorded."), (status, output.Trim()));
    }

    [Fact]
    public async Task an_owner_without_a_guest_is_found_and_its_host_is_asked_to_put_it_right()
    {
        bool repaired = false;
        await using ScriptedGateway gateway = await ScriptedGateway.StartAsync((_, context) =>
        {
            repaired |= HttpMethods.IsPost(context.Request.Method);
            return ScriptedGateway.AnswerAsync(context, 200, context.Request.Path.Value switch
            {
                "/v1/hosts" => Host,
                "/v1/vms" => repaired ? "[]" : Vm,
                _ => "[]",
            });
        });
        (int found, string output, _) = await gateway.RunAsync("doctor");
        Assert.Equal(1, found);
        Assert.Contains("owner-without-guest\thost-1 owns vm-1 and has no guest of it.\tspecmesh doctor --repair", output, StringComparison.Ordinal);
        Assert.DoesNotContain(gateway.Seen, request => request.Method == "POST");

        (int mended, _, _) = await gateway.RunAsync("doctor", "--repair");
        Assert.Equal(0, mended);
        Assert.Equal("/v1/hosts/host-1/reconcile", Assert.Single(gateway.Seen, request => request.Method == "POST").PathAndQuery);
    }
}
