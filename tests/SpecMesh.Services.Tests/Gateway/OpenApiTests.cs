using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace SpecMesh.Services.Tests.Gateway;

public class OpenApiTests
{
    private static readonly string[] Undocumented = ["/health/live", "/health/ready", "/openapi/v1.json", "/metrics"];

    [Fact]
    public async Task the_document_lists_exactly_what_is_routed()
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync();
        JsonNode document = await ReadAsync(gateway);

        IEnumerable<string> routed = gateway.Services.GetRequiredService<IEnumerable<EndpointDataSource>>()
            .SelectMany(source => source.Endpoints).OfType<RouteEndpoint>()
            .Where(endpoint => !Undocumented.Contains(endpoint.RoutePattern.RawText))
            .SelectMany(endpoint => endpoint.Metadata.GetMetadata<IHttpMethodMetadata>()!.HttpMethods.Select(method => $"{method} {endpoint.RoutePattern.RawText}"));
        IEnumerable<string> described = document["paths"]!.AsObject()
            .SelectMany(path => path.Value!.AsObject().Select(member => $"{member.Key.ToUpperInvariant()} {path.Key}"));

        Assert.Contains("POST /v1/operations", routed);
        Assert.Equal(routed.Order(), described.Order());
    }

    [Fact]
    public async Task every_method_describes_its_problems_and_a_body_its_schema()
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync();
        JsonNode document = await ReadAsync(gateway);

        foreach ((_, JsonNode? path) in document["paths"]!.AsObject())
        {
            foreach ((_, JsonNode? method) in path!.AsObject())
            {
                JsonObject responses = method!["responses"]!.AsObject();
                Assert.Superset(new HashSet<string> { "401", "405", "429", "500", "502", "503" }, responses.Select(response => response.Key).ToHashSet());
                Assert.All(
                    responses.Where(response => response.Key[0] is '4' or '5'),
                    response => Assert.Equal("#/components/schemas/ProblemDetails", (string?)response.Value!["content"]!["application/problem+json"]!["schema"]!["$ref"]));
            }
        }

        JsonNode submit = document["paths"]!["/v1/operations"]!["post"]!;
        Assert.Equal("#/components/schemas/OperationRequest", (string?)submit["requestBody"]!["content"]!["application/json"]!["schema"]!["$ref"]);
        Assert.NotNull(submit["responses"]!["413"]);
        Assert.Equal(
            ["cost", "kind", "manager", "replication", "sq", "targetChoice", "targets", "vm", "vmId"],
            document["components"]!["schemas"]!["OperationRequest"]!["properties"]!.AsObject().Select(property => property.Key).Order());
    }

    [Fact]
    public async Task every_reference_in_the_document_leads_somewhere()
    {
        await using RunningGateway gateway = await RunningGateway.StartAsync();
        JsonNode document = await ReadAsync(gateway);

        List<string> references = [.. References(document)];

        Assert.NotEmpty(references);
        Assert.All(references, reference => Assert.NotNull(Follow(document, reference)));
    }

    private static async Task<JsonNode> ReadAsync(RunningGateway gateway) => JsonNode.Parse(await gateway.Client.GetStringAsync(new Uri("/openapi/v1.json", UriKind.Relative)))!;

    private static IEnumerable<string> References(JsonNode? node) => node switch
    {
        JsonObject members => members.SelectMany(member => member is { Key: "$ref", Value: JsonValue value } ? [(string)value!] : References(member.Value)),
        JsonArray items => items.SelectMany(References),
        _ => [],
    };

    private static JsonNode? Follow(JsonNode document, string reference) =>
        reference.Split('/').Skip(1).Aggregate((JsonNode?)document, (node, name) => node is JsonArray array ? array[int.Parse(name, System.Globalization.CultureInfo.InvariantCulture)] : node?[name]);
}
