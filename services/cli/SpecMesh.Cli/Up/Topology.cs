using System.Globalization;
using System.Text.RegularExpressions;

namespace SpecMesh.Cli.Up;

/// <summary>What <c>tye.yaml</c> describes: the services of the system and how they reach each other.</summary>
/// <param name="Name">Name of the application.</param>
/// <param name="Directory">Directory of the file; relative paths in it begin here.</param>
/// <param name="Services">Services in the order of the file; names are unique.</param>
public sealed record Topology(string Name, string Directory, IReadOnlyList<TopologyService> Services)
{
    /// <summary>The services without the host agents, which then run on hosts of their own.</summary>
    public Topology WithoutAgents() => this with { Services = [.. Services.Where(service => Path.GetFileName(service.Project) != "SpecMesh.HostAgent.csproj")] };

    /// <summary>
    /// Services in the order in which they start: each stage refers (by <c>${service:…}</c>) to earlier stages only. External services come first.
    /// </summary>
    /// <exception cref="TopologyException">Services refer to each other in a circle.</exception>
    public IReadOnlyList<IReadOnlyList<TopologyService>> Stages()
    {
        List<IReadOnlyList<TopologyService>> stages = [];
        HashSet<string> started = new(StringComparer.Ordinal);
        List<TopologyService> waiting = [.. Services];
        while (waiting.Count > 0)
        {
            List<TopologyService> stage = stages.Count == 0
                ? waiting.FindAll(service => service.External)
                : waiting.FindAll(service => service.RefersTo().All(started.Contains));
            if (stage.Count == 0 && stages.Count > 0)
            {
                throw new TopologyException($"these services refer to each other in a circle: {string.Join(", ", waiting.Select(service => service.Name))}");
            }

            stages.Add(stage);
            started.UnionWith(stage.Select(service => service.Name));
            waiting.RemoveAll(stage.Contains);
        }

        return stages;
    }
}

/// <summary>One service: a .NET project, an executable, or something outside that is only referred to.</summary>
/// <param name="Name">A DNS label.</param>
/// <param name="Project">Path of a <c>.csproj</c>, relative to the file; null for the other kinds.</param>
/// <param name="Executable">A program; null for the other kinds.</param>
/// <param name="External">True when it is given from outside.</param>
/// <param name="Args">Arguments as one string, split at spaces; null for none.</param>
/// <param name="WorkingDirectory">Where an executable runs, relative to the file; null: the file's directory.</param>
/// <param name="ReadinessPath">Path that answers 200 when the service is ready; null: it is ready when it has started.</param>
/// <param name="Bindings">What it listens on.</param>
/// <param name="Environment">Its environment, in the order of the file.</param>
public sealed record TopologyService(
    string Name,
    string? Project,
    string? Executable,
    bool External,
    string? Args,
    string? WorkingDirectory,
    string? ReadinessPath,
    IReadOnlyList<TopologyBinding> Bindings,
    IReadOnlyList<TopologyVariable> Environment)
{
    /// <summary>The binding that answers HTTP; null when there is none.</summary>
    public TopologyBinding? HttpBinding => Bindings.FirstOrDefault(binding => binding.Protocol is "http");

    /// <summary>Names of the other services that this one's environment refers to.</summary>
    public IEnumerable<string> RefersTo() => Environment
        .SelectMany(variable => TopologyTokens.ServicesIn(variable.Value ?? ""))
        .Where(name => name != Name)
        .Distinct(StringComparer.Ordinal);
}

/// <summary>One port that a service listens on.</summary>
/// <param name="Name">Name among the service's bindings; null when it is the only one.</param>
/// <param name="Protocol"><c>http</c>, <c>tcp</c>, <c>amqp</c> or <c>postgres</c>.</param>
/// <param name="Port">The usual port; null: any free one.</param>
public sealed record TopologyBinding(string? Name, string Protocol, int? Port);

/// <summary>One environment variable.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Value">Its value, tokens included; null: taken over from the environment of whoever starts the topology.</param>
public sealed record TopologyVariable(string Name, string? Value);

/// <summary>The file cannot be used; the message names the file, the line and the key where they are known.</summary>
public sealed class TopologyException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>
/// Tye's tokens: <c>${service:NAME:host}</c>, <c>${service:NAME:BINDING:port}</c> and <c>${env:NAME}</c> (a variable of the same service).
/// Tye documents them for connection strings; here they also work in environment values, because ports may be moved.
/// </summary>
public static partial class TopologyTokens
{
    /// <summary>Names of services in the tokens of a text.</summary>
    public static IEnumerable<string> ServicesIn(string text) => Token().Matches(text)
        .Select(match => match.Groups[1].Value.Split(':'))
        .Where(keys => keys[0] == "service" && keys.Length > 1)
        .Select(keys => keys[1]);

    /// <summary>Replaces every token.</summary>
    /// <param name="text">The text.</param>
    /// <param name="portOf">Port of a service's binding; its arguments are names of service and binding (null: the only one). It throws where there is none.</param>
    /// <param name="variableOf">Value of a variable; null when it is not set.</param>
    /// <exception cref="TopologyException">A token means nothing.</exception>
    public static string Replace(string text, Func<string, string?, int> portOf, Func<string, string?> variableOf) =>
        Token().Replace(text, match => match.Groups[1].Value.Split(':') switch
        {
            ["env", string name] => variableOf(name) ?? throw new TopologyException($"{match.Value} is not set for this service"),
            ["service", string service, "port"] => portOf(service, null).ToString(CultureInfo.InvariantCulture),
            ["service", string service, string binding, "port"] => portOf(service, binding).ToString(CultureInfo.InvariantCulture),
            ["service", _, "host"] or ["service", _, _, "host"] => "127.0.0.1",
            _ => throw new TopologyException($"the token {match.Value} means nothing"),
        });

    [GeneratedRegex(@"\$\{([^}]*)\}")]
    private static partial Regex Token();
}
