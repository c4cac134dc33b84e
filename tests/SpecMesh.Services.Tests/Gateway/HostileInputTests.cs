using System.Net;
using System.Net.Sockets;
using System.Text;

namespace SpecMesh.Services.Tests.Gateway;

public class HostileInputTests
{
    private const int Mebibyte = 1 << 20;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task a_body_of_ten_megabytes_is_refused_before_any_of_it_travels_on(bool lengthIsTold)
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync();

        await ProblemAssert.IsAsync(await PostAsync(gateway, 10_000_000, lengthIsTold), HttpStatusCode.RequestEntityTooLarge, "$");
        Assert.Empty(gateway.Arrived);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task a_body_at_the_limit_arrives_whole_and_one_byte_more_does_not(bool lengthIsTold)
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync();

        Assert.Equal(HttpStatusCode.OK, (await PostAsync(gateway, Mebibyte, lengthIsTold)).StatusCode);
        Assert.Equal(Mebibyte, Assert.Single(gateway.Arrived).Body.Length);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, (await PostAsync(gateway, Mebibyte + 1, lengthIsTold)).StatusCode);
        Assert.Single(gateway.Arrived);
    }

    [Fact]
    public async Task a_client_over_its_rate_is_told_when_to_come_back_and_its_neighbour_goes_on()
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync(
            settings: [("SpecMesh:RateLimit:Requests", "3"), ("SpecMesh:RateLimit:WindowSeconds", "86400")]);
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(HttpStatusCode.OK, (await gateway.SendAsync(HttpMethod.Get, "/v1/hosts")).StatusCode);
        }

        HttpResponseMessage refused = await gateway.SendAsync(HttpMethod.Get, "/v1/hosts");

        await ProblemAssert.IsAsync(refused, HttpStatusCode.TooManyRequests);
        Assert.InRange(refused.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 86_400);
        Assert.Equal(HttpStatusCode.OK, (await gateway.SendAsync(HttpMethod.Get, "/v1/hosts", RunningGateway.NeighbourKey)).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await gateway.SendAsync(HttpMethod.Get, "/health/ready", key: null)).StatusCode);
        Assert.Equal(4, gateway.Arrived.Count);
    }

    [Fact]
    public async Task guessing_keys_runs_into_the_limit_of_the_address_and_not_of_a_client()
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync(
            settings: [("SpecMesh:RateLimit:Requests", "3"), ("SpecMesh:RateLimit:WindowSeconds", "86400")]);
        List<HttpStatusCode> answers = [];
        for (int i = 0; i < 5; i++)
        {
            answers.Add((await gateway.SendAsync(HttpMethod.Get, "/v1/hosts", $"guess-number-{i}-0123456789")).StatusCode);
        }

        Assert.Equal([401, 401, 401, 429, 429], answers.Select(status => (int)status));
        Assert.Equal(HttpStatusCode.OK, (await gateway.SendAsync(HttpMethod.Get, "/v1/hosts")).StatusCode);
    }

    [Theory]
    [InlineData("X-Trace: a\0b")]
    [InlineData("X-Trace: a\rX-SpecMesh-Client: root")]
    [InlineData("X-SpecMesh-Client : root")]
    [InlineData("Content-Length: 5\r\nContent-Length: 6")]
    [InlineData("no colon")]
    public async Task a_header_that_could_be_read_in_two_ways_never_reaches_a_service(string header)
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync();

        string answer = await SendRawAsync(gateway, $"GET /v1/hosts HTTP/1.1\r\nHost: gateway\r\nX-Api-Key: {RunningGateway.Key}\r\n{header}\r\nConnection: close\r\n\r\n");

        Assert.StartsWith("HTTP/1.1 400 ", answer, StringComparison.Ordinal);
        Assert.Empty(gateway.Arrived);
    }

    [Fact]
    public async Task a_line_break_in_the_path_stays_part_of_the_path()
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync();

        await SendRawAsync(gateway, $"GET /v1/vms/a%0d%0aX-SpecMesh-Client:%20root HTTP/1.1\r\nHost: gateway\r\nX-Api-Key: {RunningGateway.Key}\r\nConnection: close\r\n\r\n");

        Arrived arrived = Assert.Single(gateway.Arrived);
        Assert.Equal("/v1/vms/a%0D%0AX-SpecMesh-Client:%20root", arrived.Path);
        Assert.Equal("alice", arrived.Headers["X-SpecMesh-Client"]);
    }

    [Fact]
    public async Task a_folded_header_does_not_smuggle_a_second_one()
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync();

        string answer = await SendRawAsync(
            gateway, $"GET /v1/hosts HTTP/1.1\r\nHost: gateway\r\nX-Api-Key: {RunningGateway.Key}\r\nX-Trace: a\r\n X-SpecMesh-Client: root\r\nConnection: close\r\n\r\n");

        Assert.StartsWith("HTTP/1.1 400 ", answer, StringComparison.Ordinal);
        Assert.Empty(gateway.Arrived);
    }

    private static Task<HttpResponseMessage> PostAsync(RunningGateway gateway, int bytes, bool lengthIsTold)
    {
        ByteArrayContent content = new([.. Enumerable.Repeat((byte)' ', bytes)]);
        HttpContent body = lengthIsTold ? content : new StreamOfUnknownLength(content);
        body.Headers.ContentType = new("application/json");
        return gateway.SendAsync(HttpMethod.Post, "/v1/operations", body: body);
    }

    private static async Task<string> SendRawAsync(RunningGateway gateway, string request)
    {
        using TcpClient client = new();
        await client.ConnectAsync(gateway.Url.Host, gateway.Url.Port);
        await using NetworkStream stream = client.GetStream();
        await stream.WriteAsync(Encoding.Latin1.GetBytes(request));
        using StreamReader reader = new(stream, Encoding.Latin1);
        return await reader.ReadToEndAsync();
    }

    /// <summary>Content that HTTP/1.1 can only send in chunks.</summary>
    private sealed class StreamOfUnknownLength(ByteArrayContent content) : HttpContent
    {
        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => content.CopyToAsync(stream);

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
