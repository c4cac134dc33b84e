using System.Text.Json;
using SpecMesh.Contracts;

namespace SpecMesh.Services.Tests.ReplicationPolicy;

/// <summary><c>GET /v1/operations/{id}/events</c> as server-sent events.</summary>
public class EventsTests(RunningPolicy policy) : IClassFixture<RunningPolicy>
{
    [Fact]
    public async Task a_reader_sees_every_event_as_it_is_recorded_until_the_operation_is_settled()
    {
        Guid id = Guid.NewGuid();
        object[] won = Given.Won(id, "vm-a");
        await policy.Service.RecordAsync((EventStreams.OfOperation(id), won), (EventStreams.OfOperation(Guid.NewGuid()), Given.Racing(Guid.NewGuid(), "vm-b")));
        using HttpResponseMessage response = await policy.Http.GetAsync($"/v1/operations/{id}/events", HttpCompletionOption.ResponseHeadersRead);
        using StreamReader reader = new(await response.Content.ReadAsStreamAsync());

        List<(string Id, string Event, string Data)> seen = [];
        for (int i = 0; i < won.Length; i++)
        {
            seen.Add(await NextAsync(reader));
        }

        await policy.Service.RecordAsync((EventStreams.OfOperation(id), [new SpecOpSettled(id, 5, 1.5)]));
        seen.Add(await NextAsync(reader));

        Assert.Null(await reader.ReadLineAsync());
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType?.MediaType);
        Assert.Equal(Enumerable.Range(1, won.Length + 1).Select(version => $"{version}"), seen.Select(one => one.Id));
        Assert.Equal(("spec_op_accepted", "spec_op_settled"), (seen[0].Event, seen[^1].Event));
        Assert.Equal(new SpecOpSettled(id, 5, 1.5), JsonSerializer.Deserialize<SpecOpSettled>(seen[^1].Data, ContractJson.Options));
        Assert.All(seen, one => Assert.Equal(id, JsonDocument.Parse(one.Data).RootElement.GetProperty("operationId").GetGuid()));
    }

    [Fact]
    public async Task a_reader_goes_on_after_the_event_that_it_names()
    {
        Guid id = await SettledAsync();

        Answer rest = await policy.Http.GetAnswerAsync($"/v1/operations/{id}/events", ("Last-Event-ID", "6"));

        Assert.Equal(["id: 7", "id: 8"], rest.Body.Split('\n').Where(line => line.StartsWith("id:", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task a_reader_that_comes_back_after_the_last_event_is_told_to_stay_away()
    {
        Guid id = await SettledAsync();

        // 204 ends a browser's reconnecting; anything else would make it wait, or come back, for ever.
        Answer over = await policy.Http.GetAnswerAsync($"/v1/operations/{id}/events", ("Last-Event-ID", "8"));

        Assert.Equal((204, ""), (over.Status, over.Body));
    }

    [Fact]
    public async Task a_request_that_was_refused_and_then_accepted_is_shown_to_its_end()
    {
        Guid id = Guid.NewGuid();
        await policy.Service.RecordAsync((EventStreams.OfOperation(id), [new SpecOpRefused(id, "vm-a", "vmId", Given.Why), .. Given.Won(id, "vm-a"), new SpecOpSettled(id, 0, null)]));

        Answer all = await policy.Http.GetAnswerAsync($"/v1/operations/{id}/events");

        Assert.Contains("event: spec_op_settled", all.Body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task a_refused_request_s_events_end_with_the_refusal()
    {
        Guid id = Guid.NewGuid();
        await policy.Service.RecordAsync((EventStreams.OfOperation(id), [new SpecOpRefused(id, "vm-a", "vmId", Given.Why)]));

        Answer all = await policy.Http.GetAnswerAsync($"/v1/operations/{id}/events");

        Assert.StartsWith("id: 1\nevent: spec_op_refused\ndata: {", all.Body, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("-1")]
    [InlineData("abc")]
    [InlineData("1.5")]
    [InlineData("9")]
    [InlineData("99999999999999999999")]
    public async Task an_event_that_never_was_is_refused(string last)
    {
        Guid id = await SettledAsync();

        Answer answer = await policy.Http.GetAnswerAsync($"/v1/operations/{id}/events", ("Last-Event-ID", last));

        Assert.Equal((400, "Last-Event-ID"), (answer.Status, answer.Field));
    }

    /// <summary>Eight events, the last one the settlement.</summary>
    private async Task<Guid> SettledAsync()
    {
        Guid id = Guid.NewGuid();
        await policy.Service.RecordAsync((EventStreams.OfOperation(id), [.. Given.Won(id, "vm-a"), new SpecOpSettled(id, 0, null)]));
        return id;
    }

    private static async Task<(string Id, string Event, string Data)> NextAsync(StreamReader reader)
    {
        string[] lines = [await LineAsync(reader), await LineAsync(reader), await LineAsync(reader), await LineAsync(reader)];
        Assert.Equal("", lines[3]);
        return (lines[0]["id: ".Length..], lines[1]["event: ".Length..], lines[2]["data: ".Length..]);
    }

    private static async Task<string> LineAsync(StreamReader reader)
    {
        string? line = await reader.ReadLineAsync().WaitAsync(Hosting.Mesh.Patience);
        return line ?? throw new InvalidOperationException("The events ended too early.");
    }
}
