using System.Text.Json;
using System.Text.Json.Nodes;
using SpecMesh.Contracts;

namespace SpecMesh.Architecture.Tests;

/// <summary>One sample per message and stored event: what is on the wire and in the database today must be readable tomorrow.</summary>
public sealed class SampleTests
{
    private const string Folder = "contracts/samples";

    public static TheoryData<string> Messages => [.. CatalogueTests.Roles.Select(role => role.Message.Name).Distinct()];

    [Fact]
    public void the_samples_are_those_of_the_catalogue()
    {
        IEnumerable<string> samples = Directory.EnumerateFiles(Path.Combine(Tree.Root, Folder), "*.json").Select(path => Path.GetFileNameWithoutExtension(path));
        Assert.Equal(CatalogueTests.Roles.Select(role => role.Message.Name).Distinct().Order(StringComparer.Ordinal), samples.Order(StringComparer.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Messages))]
    public void a_sample_is_read_strictly_and_written_as_it_was(string message)
    {
        Type type = CatalogueTests.Roles.First(role => role.Message.Name == message).Message;
        string sample = Tree.Read($"{Folder}/{message}.json");
        object read = JsonSerializer.Deserialize(sample, type, ContractJson.Strict) ?? throw new JsonException($"The sample of {message} is the JSON null.");
        string written = JsonSerializer.Serialize(read, type, ContractJson.Options);
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(sample), JsonNode.Parse(written)), $"sample:\n{sample}\nwritten:\n{written}");
    }

    [Fact]
    public void a_field_that_no_contract_knows_is_an_error_when_read_strictly()
    {
        string sample = Tree.Read($"{Folder}/CancelSpecOp.json").TrimEnd().TrimEnd('}') + ", \"because\": 1 }";
        Assert.Throws<JsonException>(() => JsonSerializer.Deserialize<CancelSpecOp>(sample, ContractJson.Strict));
        Assert.NotNull(JsonSerializer.Deserialize<CancelSpecOp>(sample, ContractJson.Options));
    }
}
