using System.Globalization;
using SpecMesh.Cli.Up;

namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>All links of the system.</summary>
public sealed class Links(IReadOnlyList<Link> all) : IAsyncDisposable
{
    public IReadOnlyList<Link> All => all;

    /// <summary>The links at which a process takes part: its own, and those of whoever connects to it.</summary>
    public IReadOnlyList<Link> Of(string process) => [.. all.Where(link => link.From == process || link.To == process)];

    /// <summary>The links to a server.</summary>
    public IReadOnlyList<Link> To(string server) => [.. all.Where(link => link.To == server)];

    public void HealAll()
    {
        foreach (Link link in all)
        {
            link.Heal();
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (Link link in all)
        {
            await link.DisposeAsync();
        }
    }
}

/// <summary>The topology of <c>tye.yaml</c> with three hosts, fault points, and a link in every connection.</summary>
internal sealed class CrashTopology
{
    private readonly Dictionary<(string Service, string? Binding), int> ports = [];
    private readonly Dictionary<(string From, string To), Link> links = [];
    private readonly List<Link> dataLinks = [];
    private readonly string bus;
    private readonly string database;
    private readonly string pointsDirectory;

    public CrashTopology(Topology given, LoopbackPorts free, string bus, string database, string pointsDirectory)
    {
        (this.bus, this.database, this.pointsDirectory) = (bus, database, pointsDirectory);
        List<TopologyService> services = [.. given.Services.Where(service => !service.External && (!service.Name.StartsWith("host-", StringComparison.Ordinal) || CrashSystem.Hosts.Contains(service.Name)))];
        foreach ((TopologyService service, TopologyBinding binding) in services.SelectMany(service => service.Bindings.Select(binding => (service, binding))))
        {
            ports[(service.Name, binding.Name)] = free.Take();
        }

        Topology = given with { Services = [.. services.Select(Rewire)] };
        Links = new Links([.. links.Values, .. dataLinks]);
    }

    public Topology Topology { get; }

    public Links Links { get; }

    public IEnumerable<string> HttpAddresses => ports.Where(port => port.Key.Binding is null or "http").Select(port => string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port.Value}"));

    private TopologyService Rewire(TopologyService service)
    {
        List<TopologyVariable> environment = [.. service.Environment.Select(variable => variable with { Value = Rewire(service.Name, variable) })];
        environment.Add(new TopologyVariable("SpecMesh__FaultPoints", pointsDirectory));
        environment.Add(new TopologyVariable("Logging__LogLevel__Microsoft.AspNetCore", "Warning"));
        environment.Add(new TopologyVariable("Logging__Console__FormatterName", "simple"));
        environment.Add(new TopologyVariable("Logging__Console__FormatterOptions__TimestampFormat", "HH:mm:ss.fff "));
        if (service.Name == "failure-monitor")
        {
            // A frozen host must be suspected while it is frozen, and cells are many.
            environment.Add(new TopologyVariable("SpecMesh__FailureMonitor__SuspectAfterSeconds", "3"));
        }

        if (ports.TryGetValue((service.Name, "data"), out int data))
        {
            // Whoever is the source of an operation connects here, so the link has no owner of its own.
            Link link = new(null, service.Name, data);
            dataLinks.Add(link);
            environment.Add(new TopologyVariable("SpecMesh__AdvertisedDataEndpoint", string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{link.Port}")));
        }

        return service with { Environment = environment, Bindings = [.. service.Bindings.Select(binding => binding with { Port = ports[(service.Name, binding.Name)] })] };
    }

    private string? Rewire(string service, TopologyVariable variable) => variable switch
    {
        { Name: "SpecMesh__Bus" } => Through(service, "rabbitmq", new Uri(bus)),
        { Name: "SpecMesh__Store", Value: null } => Through(service, "postgres", new Uri(database)),
        { Name: "SpecMesh__DataEndpoint" } => variable.Value,
        { Value: { } value } when TopologyTokens.ServicesIn(value).FirstOrDefault() is { } other =>
            Through(service, other, new Uri(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{ports[(other, null)]}"))),
        _ => variable.Value,
    };

    private string Through(string from, string to, Uri direct)
    {
        Link link = new(from, to, direct.Port, to == "postgres" ? () => new CommitWatch(from) : null);
        links[(from, to)] = link;
        UriBuilder through = new(direct) { Port = link.Port };
        return direct.Scheme == "http" ? through.Uri.ToString().TrimEnd('/') : through.Uri.ToString();
    }
}
