using System.Text.Json;
using SpecMesh.Cli.Http;

namespace SpecMesh.Cli.Commands;

/// <summary>Follows an operation's event stream to its end.</summary>
public static class OperationWatch
{
    private const int Reconnections = 10;

    /// <summary>Writes every event as it comes, and the outcome at the end. A broken connection is taken up again after the last event seen.</summary>
    /// <returns>0 when a replica won, 1 otherwise.</returns>
    /// <exception cref="CommandException">The event stream broke off for good.</exception>
    public static async Task<int> FollowAsync(GatewayClient client, Guid operationId, bool json, CancellationToken cancellationToken)
    {
        long version = 0;
        string? outcome = null;
        for (int attempt = 0; attempt <= Reconnections; attempt++)
        {
            try
            {
                await foreach (OperationEvent one in client.EventsAsync(operationId, version, cancellationToken))
                {
                    version = one.Version;
                    attempt = 0;
                    Write(one, json);
                    outcome = OutcomeOf(one) ?? outcome;
                    if (one.Alias is "spec_op_settled" or "spec_op_refused")
                    {
                        return End(operationId, outcome, json);
                    }
                }
            }
            catch (Exception exception) when (exception is IOException || (exception is UnreachableException && version > 0))
            {
                await Console.Error.WriteLineAsync($"specmesh: the connection broke after event {version}: {exception.Message}");
            }

            await Task.Delay(TimeSpan.FromSeconds(1), cancellationToken);
        }

        throw new CommandException($"The events of {operationId} end at {version} without a last one; its outcome is not known here.");
    }

    private static void Write(OperationEvent one, bool json)
    {
        Console.WriteLine(json
            ? JsonSerializer.Serialize(new { version = one.Version, @event = one.Alias, data = one.Data })
            : $"{one.Version,5}  {one.Alias,-24} {Views.Line(one.Data)}");
    }

    private static string? OutcomeOf(OperationEvent one) => one.Alias switch
    {
        "spec_op_completed" => one.Data.TryGetProperty("outcome", out JsonElement outcome) ? outcome.ToString() : null,
        "spec_op_refused" => "Refused",
        _ => null,
    };

    private static int End(Guid operationId, string? outcome, bool json)
    {
        if (!json)
        {
            Console.WriteLine($"{operationId} {outcome ?? "has no outcome"}");
        }

        return outcome == "Succeeded" ? 0 : 1;
    }
}
