using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using Microsoft.AspNetCore.Authentication;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Primitives;

namespace SpecMesh.Gateway;

/// <summary>The configured keys as digests, so that a comparison tells nothing by its duration, neither of content nor of length.</summary>
internal sealed class ApiKeyRing(GatewayOptions options)
{
    private readonly List<(string Name, byte[] Digest)> keys = [.. options.ApiKeys.Select(key => (key.Name, DigestOf(key.Key)))];

    /// <summary>The client that the key belongs to; null for a wrong key. Every key is compared, always.</summary>
    public string? NameOf(string key)
    {
        byte[] digest = DigestOf(key);
        string? found = null;
        foreach ((string name, byte[] known) in keys)
        {
            found = CryptographicOperations.FixedTimeEquals(digest, known) ? name : found;
        }

        return found;
    }

    private static byte[] DigestOf(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));
}

/// <summary>Authentication by <c>Authorization: Bearer KEY</c> or <c>X-Api-Key: KEY</c>.</summary>
internal sealed class ApiKeyAuthentication(
    ApiKeyRing keys,
    IProblemDetailsService problems,
    IOptionsMonitor<AuthenticationSchemeOptions> options,
    ILoggerFactory logger,
    UrlEncoder encoder) : AuthenticationHandler<AuthenticationSchemeOptions>(options, logger, encoder)
{
    public const string SchemeName = "ApiKey";
    public const string KeyHeader = "X-Api-Key";
    private const string Bearer = "Bearer ";

    protected override Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        if (ReadKey() is not { } key)
        {
            return Task.FromResult(AuthenticateResult.NoResult());
        }

        if (keys.NameOf(key) is not { } name)
        {
            Log.WrongKey(Logger, Context.Connection.RemoteIpAddress);
            return Task.FromResult(AuthenticateResult.Fail("The key is not known."));
        }

        ClaimsIdentity identity = new([new Claim(ClaimTypes.Name, name)], SchemeName);
        return Task.FromResult(AuthenticateResult.Success(new AuthenticationTicket(new ClaimsPrincipal(identity), SchemeName)));
    }

    protected override async Task HandleChallengeAsync(AuthenticationProperties properties)
    {
        Response.Headers.WWWAuthenticate = "Bearer realm=\"SpecMesh\"";
        bool given = Request.Headers.ContainsKey(KeyHeader) || !StringValues.IsNullOrEmpty(Request.Headers.Authorization);
        await problems.WriteProblemAsync(
            Context,
            StatusCodes.Status401Unauthorized,
            given ? "The API key is not known." : $"An API key is needed: Authorization: Bearer KEY, or {KeyHeader}: KEY.",
            Request.Headers.ContainsKey(KeyHeader) ? KeyHeader : "Authorization");
    }

    /// <summary>The key; null when there is none. Two values for one header are none: which of them counts would be a guess.</summary>
    private string? ReadKey()
    {
        StringValues authorization = Request.Headers.Authorization;
        if (authorization.Count == 1 && authorization.ToString().StartsWith(Bearer, StringComparison.OrdinalIgnoreCase))
        {
            return authorization.ToString()[Bearer.Length..].Trim();
        }

        StringValues header = Request.Headers[KeyHeader];
        return authorization.Count == 0 && header.Count == 1 ? header.ToString() : null;
    }
}
