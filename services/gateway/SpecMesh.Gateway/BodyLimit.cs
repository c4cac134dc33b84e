using System.Globalization;
using Microsoft.AspNetCore.Http.Features;

namespace SpecMesh.Gateway;

/// <summary>
/// Refuses bodies above the limit before a byte of them travels on. A body of unknown length is read first: forwarded as it comes, it could be found
/// too long only after the service had seen half of it.
/// </summary>
internal sealed class BodyLimit(RequestDelegate next, GatewayOptions options, IProblemDetailsService problems)
{
    /// <summary>The server reads and drops this much of a refused body, so that the client gets to read the answer instead of a broken connection.</summary>
    public const long DrainedBytes = 32 << 20;

    public async Task InvokeAsync(HttpContext context)
    {
        HttpRequest request = context.Request;
        bool hasBody = context.Features.Get<IHttpRequestBodyDetectionFeature>()?.CanHaveBody ?? true;
        if (request.ContentLength is null && hasBody)
        {
            await ReadThenContinueAsync(context);
            return;
        }

        if (request.ContentLength > options.MaxBodyBytes)
        {
            await RefuseAsync(context);
            return;
        }

        await next(context);
    }

    private async Task ReadThenContinueAsync(HttpContext context)
    {
        using MemoryStream body = new();
        byte[] buffer = new byte[16 * 1024];
        int read;
        while ((read = await context.Request.Body.ReadAsync(buffer, context.RequestAborted)) > 0)
        {
            body.Write(buffer, 0, read);
            if (body.Length > options.MaxBodyBytes)
            {
                await RefuseAsync(context);
                return;
            }
        }

        body.Position = 0;
        context.Request.Body = body;
        context.Request.ContentLength = body.Length;
        context.Request.Headers.Remove("Transfer-Encoding");
        await next(context);
    }

    private Task RefuseAsync(HttpContext context) => problems.WriteProblemAsync(
        context,
        StatusCodes.Status413PayloadTooLarge,
        string.Create(CultureInfo.InvariantCulture, $"The body is larger than {options.MaxBodyBytes} bytes."),
        "$");
}
