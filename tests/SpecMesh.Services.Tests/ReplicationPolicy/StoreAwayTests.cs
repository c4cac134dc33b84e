using System.Net;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.Services.Tests.Hosting;

namespace SpecMesh.Services.Tests.ReplicationPolicy;

/// <summary>The event store is away, or somebody else was faster.</summary>
public sealed class StoreAwayTests : IAsyncLifetime
{
    private const string Body = """{"kind":"PowerOn","vmId":"vm-a","vm":{"memoryBytes":16777216}}""";

    private readonly Logged logged = new();
    private readonly RunningPolicy policy = new();

    private FaultyStore Store => (FaultyStore)policy.Service.Store;

    public static TheoryData<string> Outages => ["away", "locked", "unknown"];

    public Task InitializeAsync() => policy.StartAsync(mesh =>
    {
        mesh.Services.AddSingleton(logged.NewProvider());
        mesh.Services.AddSingleton<IEventStore>(provider => new FaultyStore(StoreConnection.Open(
            mesh.Configuration["SpecMesh:Store"]!, provider.GetRequiredService<EventTypes>(), provider.GetRequiredService<TimeProvider>())));
    });

    public Task DisposeAsync() => policy.DisposeAsync();

    [Theory]
    [MemberData(nameof(Outages))]
    public async Task callers_are_told_to_come_again_and_then_succeed(string outage)
    {
        using HttpClient h1 = policy.NewAgent("h1");
        Guid operation = Guid.NewGuid();
        await policy.Service.RecordAsync(Given.MovingVm("vm-b", operation));
        Store.BeforeCommit = _ => throw ErrorOf(outage);

        using HttpResponseMessage submit = await policy.Http.PostAsync("/v1/operations", new StringContent(Body, System.Text.Encoding.UTF8, "application/json"));
        Answer transfer = await h1.CallAsync("/ownership/vm-b/transfer", Transfer(operation));

        Assert.Equal((HttpStatusCode.ServiceUnavailable, TimeSpan.FromSeconds(1)), (submit.StatusCode, submit.Headers.RetryAfter?.Delta));
        Assert.Equal(503, transfer.Status);
        Assert.DoesNotContain(outage, await submit.Content.ReadAsStringAsync(), StringComparison.OrdinalIgnoreCase);
        Assert.Equal((LogLevel.Warning, 2), (logged.Of(2004, "/")[0].Level, logged.Of(2004, "/").Count));
        Store.BeforeCommit = _ => { };
        Assert.Equal(202, (await policy.Http.PostAsync(Body)).Status);
        Assert.True((await h1.CallAsync("/ownership/vm-b/transfer", Transfer(operation))).As<OwnershipAnswer>().Accepted);
    }

    [Theory]
    [InlineData("/v1/operations/5f1d7e84-7a2b-4c3d-9e8f-000000000001")]
    [InlineData("/v1/operations/5f1d7e84-7a2b-4c3d-9e8f-000000000001/events")]
    [InlineData("/v1/vms/vm-a")]
    public async Task what_cannot_be_read_is_not_said_to_be_absent(string path)
    {
        Store.BeforeRead = _ => throw new DatabaseAwayException();

        Answer answer = await policy.Http.GetAnswerAsync(path);

        Assert.True(answer.Status == 503, answer.ToString());
        Store.BeforeRead = _ => { };
        Assert.Equal(404, (await policy.Http.GetAnswerAsync(path)).Status);
    }

    [Fact]
    public async Task events_that_have_begun_break_off_when_the_store_goes_away_and_can_be_read_on()
    {
        Guid id = Guid.NewGuid();
        string stream = EventStreams.OfOperation(id);
        await policy.Service.RecordAsync((stream, Given.Racing(id, "vm-a")));
        using HttpResponseMessage response = await policy.Http.GetAsync($"/v1/operations/{id}/events", HttpCompletionOption.ResponseHeadersRead);
        using StreamReader reader = new(await response.Content.ReadAsStreamAsync());
        Assert.Equal("id: 1", await reader.ReadLineAsync());

        Store.BeforeRead = name => throw (name == stream ? new DatabaseAwayException() : new InvalidOperationException(name));

        // An end that looked like the ordinary one would make the reader believe that the operation is over.
        await Assert.ThrowsAnyAsync<IOException>(() => reader.ReadToEndAsync().WaitAsync(Mesh.Patience));
        Assert.Single(await logged.UntilAsync(2004, id));
        Store.BeforeRead = _ => { };
        await policy.Service.RecordAsync((stream, [.. Given.Won(id, "vm-a").Skip(4), new SpecOpSettled(id, 0, null)]));
        Answer rest = await policy.Http.GetAnswerAsync($"/v1/operations/{id}/events", ("Last-Event-ID", "4"));
        Assert.StartsWith("id: 5\n", rest.Body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task a_lost_race_is_decided_again_and_told_once()
    {
        int left = 3;
        Store.BeforeCommit = commit => _ = commit.Appends.Count > 0 && --left >= 0 ? throw new ConcurrencyException(commit.Appends[0].StreamId, 0) : 0;

        Guid id = (await policy.Http.PostAsync(Body)).As<OperationAccepted>().OperationId;

        Assert.Single(await policy.Service.ReadAsync(EventStreams.OfOperation(id)));
        Assert.Single(await logged.UntilAsync(2000, id));
        left = 3;
        await policy.Service.Bus.PublishAsync(new CancelSpecOp(id), default);
        await policy.HearAsync<SpecOpSettled>(settled => settled.OperationId == id);
        Assert.Single(await logged.UntilAsync(2002, id));
    }

    private static TransferOwnership Transfer(Guid operation) => new(operation, 0, "h1", Given.Epoch, Given.OpenVersion, 0, "ab");

    private static Exception ErrorOf(string outage) => outage switch
    {
        "away" => new DatabaseAwayException(),
        "locked" => new SqliteException("database is locked", 5),
        _ => new CommitUnknownException("vm-a", new IOException("unknown")),
    };
}
