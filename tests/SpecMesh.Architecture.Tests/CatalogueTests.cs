using System.Reflection;
using System.Text.RegularExpressions;
using SpecMesh.Contracts;
using SpecMesh.EventStore;

namespace SpecMesh.Architecture.Tests;

/// <summary>The catalogue in <c>contracts/README.md</c> says what the code says, for a reader who has only the page.</summary>
public sealed partial class CatalogueTests
{
    private static readonly string[] Parties =
        ["caller", "gateway", "placement", "replication-policy", "failure-monitor", "workloads", "host-agent", "`specop-{id}`", "`vm-{id}`", "`host-{id}`", "`health-{id}`", "`speculation-cluster`", "`workflow-{id}`"];

    /// <summary>Every list of the catalogue in code with the role that it stands for: <c>StoredEvents</c> is "stored event".</summary>
    public static IReadOnlyList<(string Role, Type Message)> Roles { get; } =
        [.. typeof(ContractCatalogue).GetProperties(BindingFlags.Public | BindingFlags.Static)
            .Where(property => property.PropertyType == typeof(IReadOnlyList<Type>) && property.Name != nameof(ContractCatalogue.All))
            .SelectMany(property => ((IReadOnlyList<Type>)property.GetValue(null)!).Select(message => (RoleOf(property.Name), message)))];

    private static readonly IReadOnlyList<Row> Rows =
        [.. RowOfTable().Matches(Tree.Read("contracts/README.md")).Select(match => new Row(match.Groups[1].Value, Cells(match, 2), Cells(match, 3), Cells(match, 4), match.Groups[5].Value.Trim()))];

    [Fact]
    public void the_page_lists_every_message_once_and_nothing_else()
    {
        Assert.Equal(Roles.Select(role => role.Message.Name).Distinct().Order(StringComparer.Ordinal), Rows.Select(row => row.Message).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void the_page_gives_each_message_its_roles()
    {
        Assert.All(Rows, row => Assert.Equal(Roles.Where(role => role.Message.Name == row.Message).Select(role => role.Role).Order(StringComparer.Ordinal), row.Roles.Order(StringComparer.Ordinal)));
    }

    [Fact]
    public void senders_and_receivers_are_parties_that_exist()
    {
        Assert.All(Rows, row =>
        {
            Assert.NotEmpty(row.Senders);
            Assert.NotEmpty(row.Receivers);
            Assert.Empty(row.Senders.Concat(row.Receivers).Except(Parties));
        });
    }

    [Fact]
    public void the_page_names_the_services_that_the_code_registers_as_receivers()
    {
        string[] services = ["placement", "replication-policy", "failure-monitor", "workloads", "host-agent"];
        ILookup<string, string> registered = Tree.Sources
            .Select(path => (Service: services.FirstOrDefault(service => Tree.Relative(path).StartsWith($"services/{service}/", StringComparison.Ordinal)), Path: path))
            .Where(source => source.Service is not null)
            .SelectMany(source => Registration().Matches(File.ReadAllText(source.Path)).Select(match => (Message: match.Groups[1].Value, source.Service)))
            .Distinct()
            .ToLookup(pair => pair.Message, pair => pair.Service!);
        Assert.All(Rows.Where(row => row.Roles.Any(role => role is "command" or "event" or "deadline")), row => Assert.Equal(
            registered[row.Message].Order(StringComparer.Ordinal),
            row.Receivers.Intersect(services).Order(StringComparer.Ordinal)));
    }

    [Fact]
    public void a_stored_event_names_its_event_stream_and_no_other_message_does()
    {
        Assert.All(Rows, row => Assert.Equal(row.Roles.Contains("stored event"), row.Receivers.Any(receiver => receiver.StartsWith('`'))));
    }

    [Fact]
    public void a_command_has_one_receiver()
    {
        Assert.All(Rows.Where(row => row.Roles.Contains("command")), row => Assert.Single(row.Receivers));
    }

    [Fact]
    public void every_message_has_a_meaning_in_a_sentence()
    {
        Assert.All(Rows, row => Assert.True(row.Meaning.Length > 15 && row.Meaning.EndsWith('.'), row.Message));
    }

    [Fact]
    public void stored_events_have_unique_aliases_without_digits_or_acronyms()
    {
        string[] names = [.. Roles.Where(role => role.Role == "stored event").Select(role => role.Message.Name)];
        Assert.All(names, name => Assert.Matches(PlainName(), name));
        Assert.Equal(names.Length, names.Select(EventTypes.AliasOf).Distinct().Count());
    }

    [Fact]
    public void every_contract_record_is_a_message_or_part_of_one_or_a_shape_over_http()
    {
        HashSet<Type> reachable = [];
        foreach ((_, Type message) in Roles)
        {
            Reach(message, reachable);
        }

        string[] others = [.. typeof(ContractCatalogue).Assembly.GetExportedTypes()
            .Where(type => !type.IsAbstract && (type.IsEnum || type.GetMethod("<Clone>$") is not null))
            .Except(reachable)
            .Select(type => type.Name)];
        string[] shapes = [.. ShapeOfTable().Matches(Tree.Read("contracts/README.md")).Select(match => match.Groups[1].Value)];
        Assert.Equal(shapes.Order(StringComparer.Ordinal), others.Order(StringComparer.Ordinal));
    }

    private static void Reach(Type type, HashSet<Type> reached)
    {
        Type plain = Nullable.GetUnderlyingType(type) ?? type;
        foreach (Type argument in plain.GetGenericArguments())
        {
            Reach(argument, reached);
        }

        if (plain.Assembly == typeof(ContractCatalogue).Assembly && reached.Add(plain) && !plain.IsEnum)
        {
            foreach (PropertyInfo property in plain.GetProperties(BindingFlags.Public | BindingFlags.Instance))
            {
                Reach(property.PropertyType, reached);
            }
        }
    }

    private static string RoleOf(string list) => WordStart().Replace(list.TrimEnd('s'), " $1").Trim().ToLowerInvariant();

    private static string[] Cells(Match match, int group) => match.Groups[group].Value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    [GeneratedRegex(@"^\| `(\w+)` \|([^|\n]*)\|([^|\n]*)\|([^|\n]*)\|([^|\n]*)\|\s*$", RegexOptions.Multiline)]
    private static partial Regex RowOfTable();

    [GeneratedRegex(@"^\| `(\w+)` \|[^|\n]*\|\s*$", RegexOptions.Multiline)]
    private static partial Regex ShapeOfTable();

    [GeneratedRegex("([A-Z])")]
    private static partial Regex WordStart();

    [GeneratedRegex(@"\.(?:On|Handle|Receive)<(\w+)>")]
    private static partial Regex Registration();

    [GeneratedRegex("^([A-Z][a-z]+)+$")]
    private static partial Regex PlainName();

    private sealed record Row(string Message, string[] Roles, string[] Senders, string[] Receivers, string Meaning);
}
