using System.Text.Json;
using SpecMesh.Contracts;
using Spectre.Console;

namespace SpecMesh.Cli.Commands;

/// <summary>Writes results: a drawn table at a terminal, tab-separated lines elsewhere, JSON when asked for.</summary>
public static class Output
{
    private static readonly JsonSerializerOptions Indented = new(ContractJson.Options) { WriteIndented = true };

    /// <summary>Writes rows under headings.</summary>
    public static void Table(IReadOnlyList<string> headings, IEnumerable<IReadOnlyList<string>> rows)
    {
        if (Console.IsOutputRedirected)
        {
            Console.WriteLine(string.Join('\t', headings));
            foreach (IReadOnlyList<string> row in rows)
            {
                Console.WriteLine(string.Join('\t', row));
            }

            return;
        }

        Table table = new() { Border = TableBorder.Rounded };
        foreach (string heading in headings)
        {
            table.AddColumn(new TableColumn(new Text(heading)));
        }

        foreach (IReadOnlyList<string> row in rows)
        {
            table.AddRow(row.Select(cell => new Text(cell)));
        }

        AnsiConsole.Write(table);
    }

    /// <summary>Writes one JSON value.</summary>
    public static void Json(object value) => Console.WriteLine(JsonSerializer.Serialize(value, Indented));
}
