using System.Globalization;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace SpecMesh.Cli.Up;

/// <summary>
/// Reads Tye's documented format, as far as <c>specmesh up</c> acts on it. Any other key is an error that names its line: a key that is silently ignored
/// would be a wish that nobody fulfils.
/// </summary>
public sealed class TopologyReader
{
    private static readonly string[] Protocols = ["http", "tcp", "amqp", "postgres"];

    private readonly string file;

    private TopologyReader(string file) => this.file = file;

    /// <summary>Reads a file.</summary>
    /// <exception cref="TopologyException">The file is absent, is not YAML, or says something that cannot be acted on.</exception>
    public static Topology Read(string file)
    {
        string full = Path.GetFullPath(file);
        try
        {
            return Parse(File.ReadAllText(full), full);
        }
        catch (IOException exception)
        {
            throw new TopologyException($"{full} cannot be read: {exception.Message}", exception);
        }
    }

    /// <summary>Reads a text as if it lay in <paramref name="file"/>.</summary>
    /// <exception cref="TopologyException">As for <see cref="Read"/>.</exception>
    public static Topology Parse(string text, string file) => new TopologyReader(file).ParseDocument(text);

    private Topology ParseDocument(string text)
    {
        YamlStream stream = [];
        try
        {
            using StringReader reader = new(text);
            stream.Load(reader);
        }
        catch (YamlException exception)
        {
            throw new TopologyException($"{file}:{exception.Start.Line}: {exception.Message}", exception);
        }

        if (stream.Documents.Count != 1)
        {
            throw new TopologyException($"{file}: holds {stream.Documents.Count} YAML documents; one is needed");
        }

        Dictionary<string, YamlNode> root = Keys(stream.Documents[0].RootNode, "name", "services");
        List<TopologyService> services = [.. Items(Required(root, "services", stream.Documents[0].RootNode)).Select(Service)];
        string name = root.TryGetValue("name", out YamlNode? named) ? Text(named) : "specmesh";
        Topology topology = new(name, Path.GetDirectoryName(file)!, services);
        CheckReferences(topology);
        return topology;
    }

    private TopologyService Service(YamlNode node)
    {
        Dictionary<string, YamlNode> keys =
            Keys(node, "name", "project", "executable", "external", "args", "workingDirectory", "readiness", "bindings", "env");
        string name = Text(Required(keys, "name", node));
        if (name.Length > 63 || name.Length == 0 || !name.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-') || name[0] == '-' || name[^1] == '-')
        {
            throw Error(keys["name"], $"'{name}' is not a DNS label of a-z, 0-9 and -");
        }

        bool external = keys.TryGetValue("external", out YamlNode? given) && Boolean(given);
        int kinds = (keys.ContainsKey("project") ? 1 : 0) + (keys.ContainsKey("executable") ? 1 : 0) + (external ? 1 : 0);
        if (kinds != 1)
        {
            throw Error(node, $"'{name}' needs exactly one of project, executable and external: true");
        }

        List<TopologyBinding> bindings = keys.TryGetValue("bindings", out YamlNode? bound) ? [.. Items(bound).Select(Binding)] : [];
        if (bindings.Count > 1 && bindings.Select(binding => binding.Name).Distinct().Count() != bindings.Count)
        {
            throw Error(bound!, $"'{name}' has several bindings: each needs a name of its own");
        }

        List<TopologyVariable> environment = keys.TryGetValue("env", out YamlNode? env) ? [.. Items(env).Select(Variable)] : [];
        return new TopologyService(
            name,
            Optional(keys, "project"),
            Optional(keys, "executable"),
            external,
            Optional(keys, "args"),
            Optional(keys, "workingDirectory"),
            keys.TryGetValue("readiness", out YamlNode? readiness) ? ReadinessPath(readiness) : null,
            bindings,
            environment);
    }

    private TopologyBinding Binding(YamlNode node)
    {
        Dictionary<string, YamlNode> keys = Keys(node, "name", "protocol", "port");
        string protocol = Optional(keys, "protocol") ?? "http";
        if (!Protocols.Contains(protocol))
        {
            throw Error(keys["protocol"], $"'{protocol}' is not one of {string.Join(", ", Protocols)}");
        }

        int? port = null;
        if (keys.TryGetValue("port", out YamlNode? number))
        {
            port = int.TryParse(Text(number), NumberStyles.None, CultureInfo.InvariantCulture, out int parsed) && parsed is > 0 and < 65536
                ? parsed
                : throw Error(number, $"'{Text(number)}' is not a port");
        }

        return new TopologyBinding(Optional(keys, "name"), protocol, port);
    }

    private TopologyVariable Variable(YamlNode node)
    {
        if (node is YamlScalarNode)
        {
            string[] parts = Text(node).Split('=', 2);
            return new TopologyVariable(parts[0], parts.Length == 2 ? parts[1].Trim('"') : null);
        }

        Dictionary<string, YamlNode> keys = Keys(node, "name", "value");
        return new TopologyVariable(Text(Required(keys, "name", node)), Text(Required(keys, "value", node)));
    }

    private string ReadinessPath(YamlNode node)
    {
        YamlNode http = Required(Keys(node, "http"), "http", node);
        string path = Text(Required(Keys(http, "path"), "path", http));
        return path.StartsWith('/') ? path : throw Error(http, $"'{path}' is not a path from /");
    }

    private void CheckReferences(Topology topology)
    {
        string[] names = [.. topology.Services.Select(service => service.Name)];
        if (names.GroupBy(name => name).FirstOrDefault(group => group.Count() > 1) is { } twice)
        {
            throw new TopologyException($"{file}: two services are called '{twice.Key}'");
        }

        foreach (TopologyService service in topology.Services)
        {
            if (service.RefersTo().FirstOrDefault(name => !names.Contains(name)) is { } unknown)
            {
                throw new TopologyException($"{file}: '{service.Name}' refers to a service '{unknown}', which is not there");
            }

            if (service.ReadinessPath is not null && service.HttpBinding is null)
            {
                throw new TopologyException($"{file}: '{service.Name}' has a readiness path but no http binding");
            }
        }
    }

    private Dictionary<string, YamlNode> Keys(YamlNode node, params string[] known)
    {
        if (node is not YamlMappingNode mapping)
        {
            throw Error(node, $"a mapping with the keys {string.Join(", ", known)} is expected here");
        }

        Dictionary<string, YamlNode> keys = new(StringComparer.Ordinal);
        foreach ((YamlNode key, YamlNode value) in mapping.Children)
        {
            string name = Text(key);
            if (!known.Contains(name))
            {
                throw Error(key, $"'{name}' is not a key that specmesh up acts on; it knows {string.Join(", ", known)}");
            }

            keys[name] = value;
        }

        return keys;
    }

    private YamlSequenceNode Items(YamlNode node) =>
        node as YamlSequenceNode ?? throw Error(node, "a list is expected here");

    private YamlNode Required(Dictionary<string, YamlNode> keys, string name, YamlNode parent) =>
        keys.TryGetValue(name, out YamlNode? value) ? value : throw Error(parent, $"'{name}' is missing here");

    private string? Optional(Dictionary<string, YamlNode> keys, string name) => keys.TryGetValue(name, out YamlNode? value) ? Text(value) : null;

    private string Text(YamlNode node) => node is YamlScalarNode { Value: { } value } ? value : throw Error(node, "a plain value is expected here");

    private bool Boolean(YamlNode node) => bool.TryParse(Text(node), out bool value) ? value : throw Error(node, "true or false is expected here");

    private TopologyException Error(YamlNode node, string message) => new($"{file}:{node.Start.Line}: {message}");
}
