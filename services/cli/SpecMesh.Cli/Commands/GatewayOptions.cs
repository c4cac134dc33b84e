using System.CommandLine;
using SpecMesh.Cli.Http;
using SpecMesh.Cli.Up;

namespace SpecMesh.Cli.Commands;

/// <summary>The options of every command that talks to the gateway.</summary>
public sealed class GatewayOptions
{
    /// <summary>Where the gateway is.</summary>
    public Option<string> Gateway { get; } = new("--gateway")
    {
        Description = "Address of the gateway; default: SPECMESH_GATEWAY, else the system that specmesh up runs here.",
        HelpName = "URL",
        Recursive = true,
    };

    /// <summary>Where the key is. It is not an option itself, because every user of the machine can read command lines.</summary>
    public Option<string> ApiKeyFile { get; } = new("--api-key-file")
    {
        Description = "File with the API key; default: SPECMESH_API_KEY, SPECMESH_API_KEY_FILE, else the system that specmesh up runs here.",
        HelpName = "FILE",
        Recursive = true,
    };

    /// <summary>For programs.</summary>
    public Option<bool> Json { get; } = new("--json") { Description = "Write JSON.", Recursive = true };

    /// <summary>A client for the gateway that the options, the environment or the running system name.</summary>
    /// <exception cref="CommandException">No gateway or no key is known.</exception>
    public GatewayClient Connect(ParseResult parsed)
    {
        UpFile? up = UpFile.Read(StateDirectory.UpFileIn(StateDirectory.Default()));
        string? address = parsed.GetValue(Gateway) ?? Variable("SPECMESH_GATEWAY") ?? up?.Gateway;
        if (!Uri.TryCreate(address, UriKind.Absolute, out Uri? uri) || uri.Scheme is not ("http" or "https"))
        {
            throw new CommandException(address is null
                ? "No gateway is known: give --gateway or SPECMESH_GATEWAY, or start one with specmesh up."
                : $"'{address}' is not an http or https address.");
        }

        return new GatewayClient(uri, Key(parsed.GetValue(ApiKeyFile), up));
    }

    /// <summary>Adds the options to a command and those below it.</summary>
    public Command AddTo(Command command)
    {
        command.Options.Add(Gateway);
        command.Options.Add(ApiKeyFile);
        command.Options.Add(Json);
        return command;
    }

    private static string Key(string? file, UpFile? up)
    {
        if (file is null && Variable("SPECMESH_API_KEY") is { } key)
        {
            return key;
        }

        string path = file ?? Variable("SPECMESH_API_KEY_FILE") ?? up?.ApiKeyFile
            ?? throw new CommandException("No API key is known: give --api-key-file, SPECMESH_API_KEY or SPECMESH_API_KEY_FILE.");
        try
        {
            return File.ReadAllText(path).Trim();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"The API key cannot be read: {exception.Message}");
        }
    }

    private static string? Variable(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null;
}
