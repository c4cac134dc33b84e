using System.Text.Json.Nodes;
using System.Text.Json.Schema;
using SpecMesh.Contracts;

namespace SpecMesh.Gateway;

/// <summary>The OpenAPI 3.1 document, made from <see cref="PublicRoutes"/> and from the contracts' own JSON form, so that it cannot say anything else than they do.</summary>
internal static class OpenApiDocument
{
    private const string ProblemType = "application/problem+json";

    private static readonly IReadOnlyList<(int Status, string Meaning)> ProblemsOfEveryMethod =
    [
        (401, "The API key is missing or not known."),
        (405, "The path does not take this method."),
        (429, "Too many requests; the header Retry-After says when to come back."),
        (500, "The request could not be handled."),
        (502, "The service behind this path does not answer."),
        (503, "The service behind this path is not available."),
    ];

    public static void MapOpenApiDocument(this IEndpointRouteBuilder endpoints)
    {
        string document = Build().ToJsonString(new() { WriteIndented = true });
        endpoints.MapGet("/openapi/v1.json", () => Results.Text(document, "application/json")).AllowAnonymous();
    }

    public static JsonObject Build()
    {
        JsonObject schemas = new() { ["ProblemDetails"] = ProblemSchema() };
        JsonObject paths = [];
        foreach (PublicRoute route in PublicRoutes.All)
        {
            JsonObject path = [];
            foreach (PublicMethod method in route.Methods)
            {
                path[method.Method.ToLowerInvariant()] = Describe(route, method, schemas);
            }

            paths[route.Path] = path;
        }

        return new JsonObject
        {
            ["openapi"] = "3.1.1",
            ["info"] = new JsonObject { ["title"] = "SpecMesh", ["version"] = "1", ["description"] = "Speculatively replicated operations on virtual machines." },
            ["security"] = new JsonArray(new JsonObject { ["bearer"] = new JsonArray() }, new JsonObject { ["apiKey"] = new JsonArray() }),
            ["paths"] = paths,
            ["components"] = new JsonObject { ["schemas"] = schemas, ["securitySchemes"] = SecuritySchemes() },
        };
    }

    private static JsonObject Describe(PublicRoute route, PublicMethod method, JsonObject schemas)
    {
        JsonObject responses = [];
        IEnumerable<(int Status, JsonObject Answer)> all = method.Answers
            .Select(answer => (answer.Status, answer.Status < 400 ? Success(answer, schemas) : Problem(answer.Meaning)))
            .Concat(ProblemsOfEveryMethod.Select(problem => (problem.Status, Problem(problem.Meaning))))
            .Concat(method.Body is null ? [] : [(413, Problem("The body is too large."))]);
        foreach ((int status, JsonObject answer) in all.OrderBy(answer => answer.Status))
        {
            responses[status.ToString(System.Globalization.CultureInfo.InvariantCulture)] = answer;
        }

        JsonObject described = new() { ["operationId"] = $"{method.Method.ToLowerInvariant()}-{route.Id}", ["summary"] = method.Summary, ["responses"] = responses };
        JsonArray parameters = [.. ParametersOf(route, method)];
        if (parameters.Count > 0)
        {
            described["parameters"] = parameters;
        }

        if (method.Body is not null)
        {
            described["requestBody"] = new JsonObject { ["required"] = true, ["content"] = Content("application/json", Reference(method.Body, schemas)) };
        }

        return described;
    }

    private static JsonObject Success(PublicAnswer answer, JsonObject schemas) => new()
    {
        ["description"] = answer.Meaning,
        ["content"] = Content(answer.MediaType, answer.Body is null ? AnyOf(answer.MediaType) : Reference(answer.Body, schemas)),
    };

    private static JsonObject Problem(string meaning) => new()
    {
        ["description"] = meaning,
        ["content"] = Content(ProblemType, new JsonObject { ["$ref"] = "#/components/schemas/ProblemDetails" }),
    };

    private static JsonObject AnyOf(string mediaType) => new() { ["type"] = mediaType == "application/json" ? "object" : "string" };

    private static JsonObject Content(string mediaType, JsonObject schema) => new() { [mediaType] = new JsonObject { ["schema"] = schema } };

    private static JsonObject Reference(Type contract, JsonObject schemas)
    {
        if (contract.GetElementType() is { } item)
        {
            return new JsonObject { ["type"] = "array", ["items"] = Reference(item, schemas) };
        }

        schemas[contract.Name] ??= ContractJson.Strict.GetJsonSchemaAsNode(contract, new JsonSchemaExporterOptions { TreatNullObliviousAsNonNullable = true });
        return new JsonObject { ["$ref"] = $"#/components/schemas/{contract.Name}" };
    }

    private static JsonObject ProblemSchema() => new()
    {
        ["type"] = "object",
        ["description"] = "RFC 9457.",
        ["properties"] = new JsonObject
        {
            ["type"] = new JsonObject { ["type"] = "string" },
            ["title"] = new JsonObject { ["type"] = "string" },
            ["status"] = new JsonObject { ["type"] = "integer" },
            ["detail"] = new JsonObject { ["type"] = "string" },
            [Problems.FieldMember] = new JsonObject { ["type"] = "string", ["description"] = "Header, or JSON path in the body, that is wrong." },
        },
    };

    private static JsonObject SecuritySchemes() => new()
    {
        ["bearer"] = new JsonObject { ["type"] = "http", ["scheme"] = "bearer" },
        ["apiKey"] = new JsonObject { ["type"] = "apiKey", ["in"] = "header", ["name"] = ApiKeyAuthentication.KeyHeader },
    };

    private static IEnumerable<JsonNode> ParametersOf(PublicRoute route, PublicMethod method) =>
    [
        .. route.Path.Split('/').Where(segment => segment.StartsWith('{')).Select(segment => Parameter(segment.Trim('{', '}'), "path", required: true)),
        .. (method.QueryParameters ?? []).Select(name => Parameter(name, "query", required: false)),
        .. (method.HeaderParameters ?? []).Select(name => Parameter(name, "header", required: false)),
    ];

    private static JsonObject Parameter(string name, string place, bool required) => new()
    {
        ["name"] = name, ["in"] = place, ["required"] = required, ["schema"] = new JsonObject { ["type"] = "string" },
    };
}
