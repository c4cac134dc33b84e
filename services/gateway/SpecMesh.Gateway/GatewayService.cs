using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authorization;
using SpecMesh.Hosting;

namespace SpecMesh.Gateway;

/// <summary>The one way in from outside: keys, limits, problem details, and routes to the services behind.</summary>
public static class GatewayService
{
    /// <summary>Address that is listened on when none is configured: this machine only.</summary>
    public const string DefaultUrl = "http://127.0.0.1:8080";

    /// <exception cref="Microsoft.Extensions.Options.OptionsValidationException">The configuration is wrong; every error is named.</exception>
    public static WebApplicationBuilder AddGateway(this WebApplicationBuilder builder)
    {
        GatewayOptions options = GatewayOptions.Read(builder.Configuration);
        if (string.IsNullOrWhiteSpace(builder.Configuration[WebHostDefaults.ServerUrlsKey]))
        {
            builder.WebHost.UseUrls(DefaultUrl);
        }

        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = BodyLimit.DrainedBytes;
        });
        builder.AddSpecMeshTelemetry("gateway");
        builder.Services.AddSingleton(options);
        builder.Services.AddSingleton<ApiKeyRing>();
        builder.Services.AddProblems();
        builder.Services.AddRequestRate(options);
        builder.Services.AddAuthentication(ApiKeyAuthentication.SchemeName).AddScheme<AuthenticationSchemeOptions, ApiKeyAuthentication>(ApiKeyAuthentication.SchemeName, null);
        builder.Services.AddAuthorizationBuilder().SetFallbackPolicy(new AuthorizationPolicyBuilder().RequireAssertion(MayCall).Build());
        builder.Services.AddReverseProxy().LoadFromMemory(PublicRoutes.Routes(), PublicRoutes.Clusters(options)).AddTransforms(route => ClientHeader.Add(route, options.GatewayKey)).AddTransforms(Problems.FillEmptyRefusals);
        return builder;
    }

    /// <summary>The pipeline, outermost first.</summary>
    public static WebApplication UseGateway(this WebApplication app)
    {
        app.MapSpecMesh();
        app.UseExceptionHandler();
        app.UseStatusCodePages();
        app.UseRouting();
        app.UseAuthentication();
        app.UseRateLimiter();
        app.UseAuthorization();
        app.UseMiddleware<BodyLimit>();
        app.MapReverseProxy();
        app.MapOpenApiDocument();
        GatewayOptions options = app.Services.GetRequiredService<GatewayOptions>();
        Log.Routing(app.Logger, options.ReplicationPolicyUrl, options.PlacementUrl, string.Join(", ", options.ApiKeys.Select(key => key.Name).Distinct()));
        return app;
    }
    /// <summary>Probes have no keys, and must not be refused because a client behind the same address is busy.</summary>
    internal static bool IsProbe(HttpContext context) => context.Request.Path.StartsWithSegments("/health");

    private static bool MayCall(AuthorizationHandlerContext context) =>
        context.User.Identity is { IsAuthenticated: true } || (context.Resource is HttpContext http && IsProbe(http));
}
