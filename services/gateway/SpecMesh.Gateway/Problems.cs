using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.WebUtilities;
using Yarp.ReverseProxy.Transforms;
using Yarp.ReverseProxy.Transforms.Builder;

namespace SpecMesh.Gateway;

/// <summary>Problem details (RFC 9457) for everything that the gateway itself refuses. None says more about the inside than its status.</summary>
internal static class Problems
{
    /// <summary>Member that names the wrong part of the request, where there is one.</summary>
    public const string FieldMember = "field";

    public static IServiceCollection AddProblems(this IServiceCollection services) => services.AddProblemDetails(options =>
        options.CustomizeProblemDetails = context =>
        {
            ProblemDetails problem = context.ProblemDetails;
            int status = problem.Status ?? context.HttpContext.Response.StatusCode;
            problem.Title = ReasonPhrases.GetReasonPhrase(status);
            problem.Detail ??= DetailOf(status, context.HttpContext) ?? "The request was refused.";
            problem.Extensions.Remove("exception");
        });

    /// <summary>Answers with problem details.</summary>
    /// <param name="problems">Writes them.</param>
    /// <param name="context">The request; its response has not begun.</param>
    /// <param name="status">HTTP status.</param>
    /// <param name="detail">A sentence for people; null for the usual one.</param>
    /// <param name="field">Header, or JSON path in the body, that is wrong; null for none.</param>
    public static async Task WriteProblemAsync(this IProblemDetailsService problems, HttpContext context, int status, string? detail = null, string? field = null)
    {
        context.Response.StatusCode = status;
        ProblemDetails problem = new() { Status = status, Detail = detail };
        if (field is not null)
        {
            problem.Extensions[FieldMember] = field;
        }

        await problems.WriteAsync(new ProblemDetailsContext { HttpContext = context, ProblemDetails = problem });
    }

    /// <summary>A service that refuses without a word (a path that its own routing does not know) gets the gateway's words, so that every refusal has them.</summary>
    public static void FillEmptyRefusals(TransformBuilderContext route) => route.AddResponseTransform(transform =>
    {
        if (transform.ProxyResponse is { Content.Headers.ContentLength: 0 } response && (int)response.StatusCode >= StatusCodes.Status400BadRequest)
        {
            transform.SuppressResponseBody = true;
            transform.HttpContext.Response.Headers.ContentLength = null;
        }

        return ValueTask.CompletedTask;
    });

    private static string? DetailOf(int status, HttpContext context) => status switch
    {
        StatusCodes.Status400BadRequest => "The request is not well-formed.",
        StatusCodes.Status404NotFound => "There is nothing at this path. /openapi/v1.json lists what there is.",
        StatusCodes.Status405MethodNotAllowed => $"The path does not take {context.Request.Method}; the header Allow lists what it takes.",
        StatusCodes.Status415UnsupportedMediaType => "The body must be application/json.",
        StatusCodes.Status500InternalServerError => "The gateway could not handle the request. Its log has the reason.",
        StatusCodes.Status502BadGateway => "The service behind this path does not answer.",
        StatusCodes.Status503ServiceUnavailable => "The service behind this path is not available.",
        StatusCodes.Status504GatewayTimeout => "The service behind this path took too long.",
        _ => null,
    };
}
