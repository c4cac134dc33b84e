using System.Net;
using System.Text;
using System.Text.Json;
using SpecMesh.Contracts;

namespace SpecMesh.Services.Tests.ReplicationPolicy;

/// <summary><c>POST /v1/operations</c>, and the same request over the bus.</summary>
public class SubmitTests(RunningPolicy policy) : IClassFixture<RunningPolicy>
{
    [Theory]
    [InlineData("""{"kind":"Migrate","vmId":"no-such-vm"}""", 404, "vmId")]
    [InlineData("""{"kind":"Migrate"}""", 400, "vmId")]
    [InlineData("""{"vmId":"x"}""", 400, "kind")]
    [InlineData("""{"kind":"Explode","vmId":"x"}""", 400, "kind")]
    [InlineData("""{"kind":7,"vmId":"x"}""", 400, "kind")]
    [InlineData("""{"kind":"Migrate","vmId":42}""", 400, "vmId")]
    [InlineData("""{"kind":"Migrate","vmId":"UPPER"}""", 400, "vmId")]
    [InlineData("""{"kind":"Migrate","vmId":"a/../b"}""", 400, "vmId")]
    [InlineData("""{"kind":"Migrate","vmId":"x","sq":0}""", 400, "sq")]
    [InlineData("""{"kind":"Migrate","vmId":"x","sq":17}""", 400, "sq")]
    [InlineData("""{"kind":"Migrate","vmId":"x","sq":2.5}""", 400, "sq")]
    [InlineData("""{"kind":"Migrate","vmId":"x","sq":"three"}""", 400, "sq")]
    [InlineData("""{"kind":"Migrate","vmId":"x","sq":99999999999}""", 400, "sq")]
    [InlineData("""{"kind":"Migrate","vmId":"x","targets":[]}""", 400, "targets")]
    [InlineData("""{"kind":"Migrate","vmId":"x","targets":{"a":1}}""", 400, "targets")]
    [InlineData("""{"kind":"Migrate","vmId":"x","targets":["h1","h1"]}""", 400, "targets[1]")]
    [InlineData("""{"kind":"Migrate","vmId":"x","targets":["h1",null]}""", 400, "targets[1]")]
    [InlineData("""{"kind":"Migrate","vmId":"x","targets":["h1",9]}""", 400, "targets[1]")]
    [InlineData("""{"kind":"Migrate","vmId":"x","cost":{"timeoutSeconds":0}}""", 400, "cost.timeoutSeconds")]
    [InlineData("""{"kind":"Migrate","vmId":"x","cost":{"timeoutSeconds":-1}}""", 400, "cost.timeoutSeconds")]
    [InlineData("""{"kind":"Migrate","vmId":"x","cost":{"timeoutSeconds":"NaN"}}""", 400, "cost.timeoutSeconds")]
    [InlineData("""{"kind":"Migrate","vmId":"x","cost":{"timeoutSeconds":1e999}}""", 400, "cost.timeoutSeconds")]
    [InlineData("""{"kind":"Migrate","vmId":"x","cost":{"timeoutMinutes":1}}""", 400, "cost.timeoutMinutes")]
    [InlineData("""{"kind":"Migrate","vmId":"x","cost":{"maxBytes":0}}""", 400, "cost.maxBytes")]
    [InlineData("""{"kind":"Migrate","vmId":"x","cost":{"maxBytes":1.5}}""", 400, "cost.maxBytes")]
    [InlineData("""{"kind":"Migrate","vmId":"x","cost":{"minProgress":5}}""", 400, "cost.minProgress")]
    [InlineData("""{"kind":"Migrate","vmId":"x","replication":{"policy":"brave"}}""", 400, "replication.policy")]
    [InlineData("""{"kind":"Migrate","vmId":"x","replication":{}}""", 400, "replication.policy")]
    [InlineData("""{"kind":"Migrate","vmId":"x","replication":{"policy":"adaptive","epsilon":2}}""", 400, "replication.epsilon")]
    [InlineData("""{"kind":"Migrate","vmId":"x","sq":3,"replication":{"policy":"adaptive"}}""", 400, "sq")]
    [InlineData("""{"kind":"Migrate","vmId":"x","colour":"red"}""", 400, "colour")]
    [InlineData("""{"kind":"Migrate","vmId":"x","targetChoice":"astrology"}""", 400, "targetChoice")]
    [InlineData("""{"kind":"Migrate","vmId":"x","manager":"hope"}""", 400, "manager")]
    [InlineData("""{"kind":"Migrate","vmId":"x","vm":{"memoryBytes":4096}}""", 400, "vm")]
    [InlineData("""{"kind":"PowerOn","vmId":"x","vm":{"memoryBytes":4097}}""", 400, "vm.memoryBytes")]
    [InlineData("""{"kind":"PowerOn","vmId":"x","vm":{"memoryBytes":16777216,"writePagesPerSecond":1e999}}""", 400, "vm.writePagesPerSecond")]
    [InlineData("""{"kind":"PowerOn","vmId":"x"}""", 400, "vm")]
    [InlineData("""{"kind":"PowerOn","vmId":"x","targets":["no-such-host"],"vm":{"memoryBytes":16777216}}""", 400, "targets[0]")]
    public async Task a_bad_request_names_its_field_and_touches_no_machine(string body, int expected, string field)
    {
        Answer answer = await policy.Http.PostAsync(body);

        Assert.True((expected, field) == (answer.Status, answer.Field), answer.ToString());
        Assert.Empty(await policy.Service.ReadAsync(EventStreams.OfVm("x")));
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{")]
    [InlineData("not json")]
    [InlineData("""{"kind":"PowerOn","vmId":"x","vm":{"memoryBytes":16777216},"vm":{"memoryBytes":33554432}}""")]
    public async Task a_body_that_is_no_request_is_refused(string body) => Assert.Equal(400, (await policy.Http.PostAsync(body)).Status);

    [Fact]
    public async Task a_body_that_is_too_large_too_deep_or_not_json_is_refused()
    {
        string deep = string.Concat(Enumerable.Repeat("""{"cost":""", 5000)) + "1" + new string('}', 5000);

        Assert.Equal(413, (await policy.Http.PostAsync("{\"vmId\":\"" + new string('a', 2 << 20) + "\"}")).Status);
        Assert.Equal(400, (await policy.Http.PostAsync(deep)).Status);
        Assert.Equal(415, (await policy.Http.PostAsync("{}", mediaType: "text/plain")).Status);
    }

    [Fact]
    public async Task a_body_of_unknown_length_has_the_same_limit()
    {
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/operations") { Content = new StringContent("{\"vmId\":\"" + new string('a', 2 << 20) + "\"}", Encoding.UTF8, "application/json") };
        request.Headers.TransferEncodingChunked = true;

        using HttpResponseMessage response = await policy.Http.SendAsync(request);

        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
    }

    [Fact]
    public async Task a_machine_that_runs_is_neither_powered_on_again_nor_moved_to_where_it_is()
    {
        string vm = Given.NewVm();
        await policy.Service.RecordAsync(Given.RunningVm(vm));

        Answer again = await policy.Http.PostAsync(Body("PowerOn", vm));
        Answer here = await policy.Http.PostAsync($$"""{"kind":"Migrate","vmId":"{{vm}}","targets":["h1","source"]}""");

        Assert.Equal((409, "vmId"), (again.Status, again.Field));
        Assert.Equal((400, "targets[1]"), (here.Status, here.Field));
    }

    [Fact]
    public async Task accepted_is_durable_and_asks_for_hosts_and_opens_its_own_machine_only()
    {
        string vm = Given.NewVm(), neighbour = Given.NewVm();
        await policy.Service.RecordAsync(Given.RunningVm(vm), Given.RunningVm(neighbour));
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/operations") { Content = new StringContent(Body("Migrate", vm), Encoding.UTF8, "application/json") };

        using HttpResponseMessage response = await policy.Http.SendAsync(request);

        // Read at once: what 202 says must already be recorded.
        Guid id = JsonSerializer.Deserialize<OperationAccepted>(await response.Content.ReadAsStringAsync(), ContractJson.Options)!.OperationId;
        SpecOpAccepted accepted = Assert.IsType<SpecOpAccepted>(Assert.Single(await policy.Service.ReadAsync(EventStreams.OfOperation(id))));
        Assert.Equal(new OperationOpened(vm, id, OperationKind.Migrate, Given.Epoch), (await policy.Service.ReadAsync(EventStreams.OfVm(vm)))[4]);
        Assert.Equal(4, (await policy.Service.ReadAsync(EventStreams.OfVm(neighbour))).Count);
        Assert.Equal((HttpStatusCode.Accepted, $"/v1/operations/{id}"), (response.StatusCode, response.Headers.Location?.ToString()));
        Assert.Equal((vm, "source", "alice", Given.OpenVersion), (accepted.VmId, accepted.SourceHostId, accepted.RequestedBy, accepted.OwnershipVersion));
        (_, SelectTargets wanted) = await policy.HearAsync<SelectTargets>(wanted => wanted.OperationId == id);
        Assert.Equal((0, 1, Given.Memory), (wanted.Request, wanted.Count, wanted.MemoryBytes));
        Assert.Equal(["source"], wanted.Excluded);
    }

    [Fact]
    public async Task the_same_key_is_the_same_operation_and_another_body_under_it_is_a_conflict()
    {
        string vm = Given.NewVm(), key = Guid.NewGuid().ToString();
        Answer first = await policy.Http.PostAsync(Body("PowerOn", vm), key);
        Answer second = await policy.Http.PostAsync(Body("PowerOn", vm), key);
        Answer other = await policy.Http.PostAsync(Body("PowerOn", vm).Replace("16777216", "33554432", StringComparison.Ordinal), key);
        Answer wrong = await policy.Http.PostAsync(Body("PowerOn", vm).Replace("\"vmId\"", "\"cost\":{\"timeoutSeconds\":1e999},\"vmId\"", StringComparison.Ordinal), key);

        Assert.Equal((202, 202), (first.Status, second.Status));
        Assert.Equal(first.Body, second.Body);
        Assert.Equal((409, "Idempotency-Key"), (other.Status, other.Field));
        Assert.Equal((409, "Idempotency-Key"), (wrong.Status, wrong.Field));
        Assert.Single(await policy.Service.ReadAsync(EventStreams.OfOperation(first.As<OperationAccepted>().OperationId)));
        Assert.Equal(2, (await policy.Service.ReadAsync(EventStreams.OfVm(vm))).Count);
    }

    [Fact]
    public async Task the_same_key_of_another_client_is_another_operation()
    {
        string key = Guid.NewGuid().ToString();
        using HttpClient bob = policy.Service.NewClient("bob");

        Answer alice = await policy.Http.PostAsync(Body("PowerOn", Given.NewVm()), key);
        Answer other = await bob.PostAsync(Body("PowerOn", Given.NewVm()), key);

        Assert.Equal((202, 202), (alice.Status, other.Status));
        Assert.NotEqual(alice.Body, other.Body);
    }

    [Fact]
    public async Task a_refused_request_has_not_used_its_key_up()
    {
        string vm = Given.NewVm(), key = Guid.NewGuid().ToString();

        Answer refused = await policy.Http.PostAsync(Body("Migrate", vm), key);
        await policy.Service.RecordAsync(Given.RunningVm(vm));
        Answer accepted = await policy.Http.PostAsync(Body("Migrate", vm), key);

        Assert.Equal((404, 202), (refused.Status, accepted.Status));
    }

    [Theory]
    [InlineData(256)]
    [InlineData(1000)]
    public async Task a_key_that_is_too_long_is_refused(int length)
    {
        Answer answer = await policy.Http.PostAsync(Body("PowerOn", "x"), new string('k', length));

        Assert.Equal((400, "Idempotency-Key"), (answer.Status, answer.Field));
    }

    [Fact]
    public async Task a_command_on_the_bus_records_what_the_same_request_over_http_does()
    {
        string overHttp = Given.NewVm(), overBus = Given.NewVm();
        await policy.Service.RecordAsync(Given.RunningVm(overHttp), Given.RunningVm(overBus));
        Guid httpId = (await policy.Http.PostAsync(Body("Migrate", overHttp, ""","sq":2,"targets":["h1","h2"]"""))).As<OperationAccepted>().OperationId;
        Guid busId = Guid.NewGuid();

        await policy.Service.Bus.PublishAsync(new SubmitSpecOp(busId, OperationKind.Migrate, overBus, 2, ["h1", "h2"], RequestedBy: "alice"), default);

        SpecOpAccepted fromBus = Assert.IsType<SpecOpAccepted>(Assert.Single(await policy.Service.ReadAsync(EventStreams.OfOperation(busId), 1)));
        SpecOpAccepted fromHttp = Assert.IsType<SpecOpAccepted>(Assert.Single(await policy.Service.ReadAsync(EventStreams.OfOperation(httpId))));
        Assert.Equal(
            JsonSerializer.Serialize(fromHttp with { OperationId = busId, VmId = overBus, Fingerprint = fromBus.Fingerprint, DeadlineAt = fromBus.DeadlineAt }, ContractJson.Options),
            JsonSerializer.Serialize(fromBus, ContractJson.Options));
        Assert.Equal(new OperationOpened(overBus, busId, OperationKind.Migrate, Given.Epoch), (await policy.Service.ReadAsync(EventStreams.OfVm(overBus)))[4]);
        (_, SpecOpAccepted told) = await policy.HearAsync<SpecOpAccepted>(told => told.OperationId == busId);
        Assert.Equal(fromBus.Fingerprint, told.Fingerprint);
    }

    [Theory]
    [InlineData("no-such-vm", null, "vmId", "unknown-vm")]
    [InlineData("UPPER", null, "vmId", "invalid-name")]
    [InlineData("x", 17, "sq", "out-of-range")]
    public async Task a_refusal_is_an_event_that_names_the_field_whichever_way_the_request_came(string vm, int? sq, string field, string code)
    {
        Guid id = Guid.NewGuid();

        await policy.Service.Bus.PublishAsync(new SubmitSpecOp(id, OperationKind.Migrate, vm, sq), default);
        Answer overHttp = await policy.Http.PostAsync(JsonSerializer.Serialize(new OperationRequest(OperationKind.Migrate, vm, sq), ContractJson.Options));

        (_, SpecOpRefused told) = await policy.HearAsync<SpecOpRefused>(told => told.OperationId == id);
        Assert.Equal((vm, field, code), (told.VmId, told.Field, told.Reason.Code));
        Assert.Equal(told, Assert.Single(await policy.Service.ReadAsync(EventStreams.OfOperation(id), 1)));
        Assert.Equal(field, overHttp.Field);
        (_, SpecOpRefused alsoTold) = await policy.HearAsync<SpecOpRefused>(other => other.OperationId != id && other.VmId == vm && other.Field == field);
        Assert.Equal(code, alsoTold.Reason.Code);
    }

    private static string Body(string kind, string vm, string further = "") =>
        $$"""{"kind":"{{kind}}","vmId":"{{vm}}"{{(kind == "PowerOn" ? ",\"vm\":{\"memoryBytes\":16777216}" : "")}}{{further}}}""";
}
