using Yarp.ReverseProxy.Transforms;
using Yarp.ReverseProxy.Transforms.Builder;

namespace SpecMesh.Gateway;

/// <summary>
/// Tells the services who calls. What the client itself sends under that name is dropped, and its key stays here: the services trust the header because only the gateway
/// can reach them.
/// </summary>
internal static class ClientHeader
{
    public const string Name = "X-SpecMesh-Client";

    public static void Add(TransformBuilderContext route) => route.AddRequestTransform(transform =>
    {
        HttpRequestMessage request = transform.ProxyRequest;
        request.Headers.Remove(Name);
        request.Headers.Remove("Authorization");
        request.Headers.Remove(ApiKeyAuthentication.KeyHeader);
        request.Headers.Add(Name, transform.HttpContext.User.Identity?.Name ?? throw new InvalidOperationException("A request without a client was about to be forwarded."));
        return ValueTask.CompletedTask;
    });
}
