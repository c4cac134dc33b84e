using SpecMesh.Hosting;
using Yarp.ReverseProxy.Transforms;
using Yarp.ReverseProxy.Transforms.Builder;

namespace SpecMesh.Gateway;

/// <summary>
/// Tells the services who calls, and shows them the gateway's secret, because of which they believe it. What the client itself sends under these names is dropped, and its
/// key stays here.
/// </summary>
internal static class ClientHeader
{
    public static void Add(TransformBuilderContext route, string gatewayKey) => route.AddRequestTransform(transform =>
    {
        HttpRequestMessage request = transform.ProxyRequest;
        request.Headers.Remove(GatewayCredential.ClientHeader);
        request.Headers.Remove(GatewayCredential.KeyHeader);
        request.Headers.Remove("Authorization");
        request.Headers.Remove(ApiKeyAuthentication.KeyHeader);
        request.Headers.Add(GatewayCredential.KeyHeader, gatewayKey);
        request.Headers.Add(GatewayCredential.ClientHeader, transform.HttpContext.User.Identity?.Name ?? throw new InvalidOperationException("A request without a client was about to be forwarded."));
        return ValueTask.CompletedTask;
    });
}
