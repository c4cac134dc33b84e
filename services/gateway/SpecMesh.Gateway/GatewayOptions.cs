using System.Text.RegularExpressions;
using Microsoft.Extensions.Options;
using SpecMesh.Hosting;

namespace SpecMesh.Gateway;

/// <summary>One client and its secret.</summary>
public sealed record ApiKey
{
    /// <summary>Who it is, for the record: 1 to 64 of <c>A-Z a-z 0-9 . _ -</c>. Two keys may have one name while a key is replaced.</summary>
    public string Name { get; init; } = string.Empty;

    /// <summary>The secret, at least <see cref="GatewayOptions.ShortestKey"/> visible ASCII characters.</summary>
    public string Key { get; init; } = string.Empty;
}

/// <summary>How many requests one client may make.</summary>
public sealed record RateLimit
{
    public const int DefaultRequests = 600;
    public const int DefaultWindowSeconds = 60;

    /// <summary>Requests per window, 1 to 1 000 000.</summary>
    public int Requests { get; init; } = DefaultRequests;

    /// <summary>Length of the window in seconds, 1 to 86 400.</summary>
    public int WindowSeconds { get; init; } = DefaultWindowSeconds;
}

/// <summary>The gateway's part of the configuration section <c>SpecMesh</c>. Every error in it is reported at once, at start.</summary>
public sealed partial record GatewayOptions
{
    public const string Section = "SpecMesh";
    public const int ShortestKey = 16;
    public const int DefaultMaxBodyBytes = 1 << 20;
    public const int DefaultAnswerSeconds = 60;

    /// <summary>Clients that may call; at least one.</summary>
    public IReadOnlyList<ApiKey> ApiKeys { get; init; } = [];

    /// <summary>Where replication-policy listens: <c>http://host:port</c>.</summary>
    public string ReplicationPolicyUrl { get; init; } = string.Empty;

    /// <summary>Where placement listens: <c>http://host:port</c>.</summary>
    public string PlacementUrl { get; init; } = string.Empty;

    /// <summary>Secret that the services know the gateway by, 16 to 256 visible ASCII characters; theirs is the same.</summary>
    public string GatewayKey { get; init; } = string.Empty;

    /// <summary>True: the services speak HTTP/2 without TLS (h2c) or with it; false: HTTP/1.1, or what TLS negotiates.</summary>
    public bool UpstreamHttp2 { get; init; }

    /// <summary>How many requests one client may make.</summary>
    public RateLimit RateLimit { get; init; } = new();

    /// <summary>Largest request body in bytes, 1 to 16 MiB.</summary>
    public int MaxBodyBytes { get; init; } = DefaultMaxBodyBytes;

    /// <summary>Seconds that a service may take for an answer, 1 to 3600. Server-sent events are not bound by it.</summary>
    public int AnswerSeconds { get; init; } = DefaultAnswerSeconds;

    /// <summary>Reads and checks the section.</summary>
    /// <exception cref="OptionsValidationException">Names every wrong setting. A key itself is never part of the message.</exception>
    public static GatewayOptions Read(IConfiguration configuration)
    {
        GatewayOptions options = configuration.GetSection(Section).Get<GatewayOptions>() ?? new GatewayOptions();
        List<string> errors = [.. options.KeyErrors()];
        RequireUrl(errors, nameof(ReplicationPolicyUrl), options.ReplicationPolicyUrl);
        RequireUrl(errors, nameof(PlacementUrl), options.PlacementUrl);
        if (GatewayCredential.ErrorOf(configuration) is { } error)
        {
            errors.Add(error);
        }

        RequireRange(errors, "RateLimit:Requests", options.RateLimit.Requests, 1_000_000);
        RequireRange(errors, "RateLimit:WindowSeconds", options.RateLimit.WindowSeconds, 86_400);
        RequireRange(errors, nameof(MaxBodyBytes), options.MaxBodyBytes, 16 << 20);
        RequireRange(errors, nameof(AnswerSeconds), options.AnswerSeconds, 3600);
        return errors.Count == 0 ? options : throw new OptionsValidationException(Section, typeof(GatewayOptions), errors);
    }

    private IEnumerable<string> KeyErrors()
    {
        if (ApiKeys.Count == 0)
        {
            yield return $"{Section}:ApiKeys is empty: without a key nobody could call. Set {Section}:ApiKeys:0:Name and {Section}:ApiKeys:0:Key.";
        }

        for (int i = 0; i < ApiKeys.Count; i++)
        {
            if (!NameForm().IsMatch(ApiKeys[i].Name))
            {
                yield return $"{Section}:ApiKeys:{i}:Name must be 1 to 64 of A-Z a-z 0-9 . _ -";
            }

            if (!KeyForm().IsMatch(ApiKeys[i].Key))
            {
                yield return $"{Section}:ApiKeys:{i}:Key must be {ShortestKey} to 256 visible ASCII characters.";
            }

            if (ApiKeys.Take(i).Any(other => other.Key == ApiKeys[i].Key))
            {
                yield return $"{Section}:ApiKeys:{i}:Key is that of another entry, so that the caller's name would be ambiguous.";
            }
        }
    }

    private static void RequireUrl(List<string> errors, string setting, string url)
    {
        bool good = Uri.TryCreate(url, UriKind.Absolute, out Uri? parsed) && parsed.Scheme is "http" or "https";
        if (!good || parsed!.UserInfo.Length > 0 || parsed.PathAndQuery != "/")
        {
            errors.Add($"{Section}:{setting} must be http://host:port or https://host:port, without a path.");
        }
    }

    private static void RequireRange(List<string> errors, string setting, int value, int most)
    {
        if (value < 1 || value > most)
        {
            errors.Add($"{Section}:{setting} is {value}; it must be from 1 to {most}.");
        }
    }

    [GeneratedRegex(@"\A[A-Za-z0-9._-]{1,64}\z")]
    private static partial Regex NameForm();

    [GeneratedRegex(@"\A[!-~]{16,256}\z")]
    private static partial Regex KeyForm();
}
