using System.Diagnostics.Metrics;
using System.Net;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using SpecMesh.Hosting;

namespace SpecMesh.Services.Tests.Hosting;

/// <summary>What operators look at.</summary>
public sealed class TelemetryTests
{
    [Fact]
    public void metrics_are_written_as_prometheus_reads_them()
    {
        using ServiceProvider services = new ServiceCollection().AddMetrics().BuildServiceProvider();
        IMeterFactory meters = services.GetRequiredService<IMeterFactory>();
        using MetricsCollector collector = new(meters);
        Meter meter = meters.Create("SpecMesh");
        Counter<long> bytes = meter.CreateCounter<long>("stream.sent", "By", "Bytes\nsent.");
        bytes.Add(3, Tag("target", "host \"b\"\\1"), Tag("a.b", 1));
        bytes.Add(4, Tag("a.b", 1), Tag("target", "host \"b\"\\1"));
        Histogram<double> pause = meter.CreateHistogram<double>("vm.pause", "{page}", "Pages left.");
        pause.Record(1);
        pause.Record(3);
        pause.Record(20_000);
        meter.CreateObservableGauge("hosts", () => new Measurement<int>(5, Tag("state", "up")), null, "Hosts.");
        meter.CreateUpDownCounter<int>("2.replicas").Add(-2);
        meter.CreateCounter<int>("never.used");

        const string Expected = """
            # HELP _2_replicas 2.replicas
            # TYPE _2_replicas gauge
            _2_replicas -2
            # HELP hosts Hosts.
            # TYPE hosts gauge
            hosts{state="up"} 5
            # HELP stream_sent_bytes_total Bytes\nsent.
            # TYPE stream_sent_bytes_total counter
            stream_sent_bytes_total{a_b="1",target="host \"b\"\\1"} 7
            # HELP vm_pause Pages left.
            # TYPE vm_pause histogram
            vm_pause_bucket{le="1"} 1
            vm_pause_bucket{le="2"} 1
            vm_pause_bucket{le="5"} 2
            vm_pause_bucket{le="10"} 2
            vm_pause_bucket{le="20"} 2
            vm_pause_bucket{le="50"} 2
            vm_pause_bucket{le="100"} 2
            vm_pause_bucket{le="200"} 2
            vm_pause_bucket{le="500"} 2
            vm_pause_bucket{le="1000"} 2
            vm_pause_bucket{le="2000"} 2
            vm_pause_bucket{le="5000"} 2
            vm_pause_bucket{le="10000"} 2
            vm_pause_bucket{le="+Inf"} 3
            vm_pause_sum 20004
            vm_pause_count 3

            """;
        Assert.Equal(Expected.ReplaceLineEndings("\n"), OwnLines(collector.Collect()));
        Assert.Equal(OwnLines(collector.Collect()), OwnLines(collector.Collect()));
    }

    [Fact]
    public void a_label_without_limit_ends_in_one_series()
    {
        using ServiceProvider services = new ServiceCollection().AddMetrics().BuildServiceProvider();
        IMeterFactory meters = services.GetRequiredService<IMeterFactory>();
        using MetricsCollector collector = new(meters);
        Counter<int> counter = meters.Create("SpecMesh").CreateCounter<int>("operations");
        for (int id = 0; id < MetricFamily.MostSeries + 10; id++)
        {
            counter.Add(1, Tag("id", id));
        }

        string[] lines = OwnLines(collector.Collect()).Split('\n').Where(line => line.StartsWith("operations_total{", StringComparison.Ordinal)).ToArray();

        Assert.Equal(MetricFamily.MostSeries + 1, lines.Length);
        Assert.Contains("operations_total{overflow=\"true\"} 10", lines);
    }

    [Fact]
    public async Task health_and_metrics_are_served()
    {
        using TemporaryFolder folder = new();
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Configuration.AddInMemoryCollection(new Dictionary<string, string?> { ["SpecMesh:Store"] = folder.Store });
        Seen<int> seen = new();
        builder.AddSpecMesh("counting", Counter.Types, Counter.Json)
            .View("nothing", (_, _) => { })
            .Endpoint("notes", endpoint => endpoint.Handle<NoteTaken>((note, _, _) =>
            {
                seen.Add(note.Number);
                return Task.CompletedTask;
            }));
        await using WebApplication app = builder.Build();
        app.MapSpecMesh();
        await app.StartAsync();
        using HttpClient client = new() { BaseAddress = new Uri(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single()) };

        await app.Services.GetRequiredService<MessageBus>().SendAsync("notes", new NoteTaken(1), default);
        await seen.NextAsync();
        using HttpResponseMessage live = await client.GetAsync("/health/live");
        HttpStatusCode ready;
        JsonElement report;
        do
        {
            using HttpResponseMessage answer = await client.GetAsync("/health/ready");
            ready = answer.StatusCode;
            report = JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement;
        }
        while (ready == HttpStatusCode.ServiceUnavailable);
        using CancellationTokenSource patience = new(Mesh.Patience);
        string? type;
        string text;
        do
        {
            // The outbox is looked into for the first time once the store is open, which is when the service is ready.
            using HttpResponseMessage metrics = await client.GetAsync("/metrics", patience.Token);
            type = metrics.Content.Headers.ContentType?.ToString();
            text = await metrics.Content.ReadAsStringAsync(patience.Token);
        }
        while (!text.Contains("specmesh_outbox_lag_seconds{", StringComparison.Ordinal));
        await app.StopAsync();

        Assert.Equal(HttpStatusCode.OK, live.StatusCode);
        Assert.Equal(HttpStatusCode.OK, ready);
        Assert.Equal(["bus", "store", "views"], report.GetProperty("checks").EnumerateObject().Select(check => check.Name).Order());
        Assert.StartsWith("text/plain; version=0.0.4", type, StringComparison.Ordinal);
        Assert.Contains("# TYPE specmesh_handler_duration_seconds histogram\n", text, StringComparison.Ordinal);
        Assert.Contains("endpoint=\"notes\",message=\"NoteTaken\"", text, StringComparison.Ordinal);
        Assert.Contains("specmesh_outbox_lag_seconds{service=\"counting\"} 0\n", text, StringComparison.Ordinal);
        Assert.Contains("http_server_request_duration_seconds_count", text, StringComparison.Ordinal);
        Assert.Contains("dotnet_", text, StringComparison.Ordinal);
    }

    private static KeyValuePair<string, object?> Tag(string key, object value) => new(key, value);

    /// <summary>What the instruments of this class have written. Those of the runtime and of the libraries belong to the process: what other tests do shows in them.</summary>
    private static string OwnLines(string text) => string.Join('\n', text.Split('\n').Where(line =>
        line.Length == 0 || new[] { "_2_replicas", "hosts", "stream_", "vm_pause", "operations_total" }.Any(own => NameOf(line).StartsWith(own, StringComparison.Ordinal))));

    private static string NameOf(string line) => line.StartsWith("# ", StringComparison.Ordinal) ? line.Split(' ')[2] : line;
}
