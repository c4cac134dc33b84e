using System.Net;
using System.Text;
using System.Text.Json;
using SpecMesh.Contracts;
using SpecMesh.HostAgent;

namespace SpecMesh.Services.Tests.HostAgent;

/// <summary>Whatever stands at the other end: an agent gets an answer about its machine, or an exception, and never a wrong answer.</summary>
public sealed class HttpOwnershipLogTests
{
    private static readonly OwnershipView View = new("vm", 4, null, 1, "h1", null, null, null);
    private static readonly RefuseTransfer Refusal = new(Guid.Empty, "h1", 1, 4, new Reason("test", "A test."));
    private static readonly TransferOwnership Commit = new(Guid.Empty, 0, "h1", 1, 4, 0, "0000000000000000");

    [Fact]
    public async Task an_answer_is_taken_and_calls_go_to_their_addresses()
    {
        Wire wire = new(HttpStatusCode.OK, JsonSerializer.Serialize(View, ContractJson.Options));
        Assert.Equal(View, await wire.Log.ReadAsync("vm", default));
        Wire appends = new(HttpStatusCode.OK, JsonSerializer.Serialize(new OwnershipAnswer(true, View, null), ContractJson.Options));
        Assert.True((await appends.Log.RefuseAsync("vm", Refusal, default)).Accepted);
        Assert.True((await appends.Log.TransferAsync("vm", Commit, default)).Accepted);
        Assert.Equal(["GET /ownership/vm", "POST /ownership/vm/refuse", "POST /ownership/vm/transfer"], [.. wire.Asked, .. appends.Asked]);
    }

    [Theory]
    [InlineData(HttpStatusCode.Unauthorized, "")]
    [InlineData(HttpStatusCode.Forbidden, "{}")]
    [InlineData(HttpStatusCode.InternalServerError, "")]
    [InlineData(HttpStatusCode.BadGateway, "<html>")]
    [InlineData(HttpStatusCode.NoContent, "")]
    [InlineData(HttpStatusCode.OK, "<html>")]
    [InlineData(HttpStatusCode.OK, "")]
    [InlineData(HttpStatusCode.OK, "null")]
    [InlineData(HttpStatusCode.OK, "{}")]
    [InlineData(HttpStatusCode.OK, "{\"accepted\":true}")]
    [InlineData(HttpStatusCode.OK, "{\"accepted\":true,\"view\":{\"vmId\":\"another\",\"version\":9},\"vmId\":\"another\",\"version\":9}")]
    public async Task anything_else_is_an_exception(HttpStatusCode status, string body)
    {
        Wire wire = new(status, body);
        Assert.True(await Record.ExceptionAsync(() => wire.Log.ReadAsync("vm", default)) is HttpRequestException or JsonException);
        Assert.True(await Record.ExceptionAsync(() => wire.Log.RefuseAsync("vm", Refusal, default)) is HttpRequestException or JsonException);
        Assert.True(await Record.ExceptionAsync(() => wire.Log.TransferAsync("vm", Commit, default)) is HttpRequestException or JsonException);
    }

    /// <summary>A server that always says the same.</summary>
    private sealed class Wire : HttpMessageHandler
    {
        private readonly HttpStatusCode status;
        private readonly string body;

        public Wire(HttpStatusCode status, string body)
        {
            this.status = status;
            this.body = body;
            Log = new HttpOwnershipLog(new HttpClient(this) { BaseAddress = new Uri("http://127.0.0.1") });
        }

        public HttpOwnershipLog Log { get; }

        public List<string> Asked { get; } = [];

        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            Asked.Add($"{request.Method} {request.RequestUri!.AbsolutePath}");
            return Task.FromResult(new HttpResponseMessage(status) { Content = new StringContent(body, Encoding.UTF8, "application/json") });
        }
    }
}
