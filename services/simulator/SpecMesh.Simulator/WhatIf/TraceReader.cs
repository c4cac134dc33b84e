using System.Text.Json;
using SpecMesh.Contracts;

namespace SpecMesh.Simulator.WhatIf;

/// <summary>Reads a trace: one JSON object per line, its fields as <c>services/simulator/README.md</c> lists them.</summary>
public sealed class TraceReader
{
    private const int MostErrors = 20;

    private readonly Dictionary<string, int> hosts = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> racks = new(StringComparer.Ordinal);
    private readonly List<int> rackOf = [];
    private readonly HashSet<string> ids = new(StringComparer.Ordinal);

    private TraceReader()
    {
    }

    /// <summary>Reads lines; empty ones count and say nothing.</summary>
    /// <param name="lines">The trace.</param>
    /// <param name="errors">What is wrong, each with line and field; empty when nothing is.</param>
    /// <returns>Null when something is wrong.</returns>
    public static Trace? Read(IEnumerable<string> lines, out IReadOnlyList<string> errors)
    {
        TraceReader reader = new();
        List<RecordedOperation> operations = [];
        List<string> found = [];
        int number = 0;
        foreach (string line in lines)
        {
            number++;
            if (string.IsNullOrWhiteSpace(line) || found.Count == MostErrors)
            {
                continue;
            }

            try
            {
                using JsonDocument document = JsonDocument.Parse(line);
                operations.Add(reader.Operation(document.RootElement));
            }
            catch (TraceFieldException wrong)
            {
                found.Add($"line {number}: {wrong.Message}");
            }
            catch (JsonException)
            {
                found.Add($"line {number}: is not JSON.");
            }
        }

        if (number == 0 || (operations.Count == 0 && found.Count == 0))
        {
            found.Add("The trace is empty.");
        }
        else if (found.Count == 0 && operations.All(operation => operation.Winner is null))
        {
            found.Add("No replica of the trace won, so nothing says how long one takes.");
        }

        errors = found;
        return found.Count > 0 ? null : new Trace([.. operations.OrderBy(operation => operation.RequestedSeconds)], [.. reader.hosts.Keys], reader.rackOf);
    }

    private RecordedOperation Operation(JsonElement json)
    {
        TraceLine line = new(json, "", "id", "kind", "requestedAt", "memoryBytes", "sourceHost", "sourceRack", "targets");
        string id = line.Text("id");
        if (!ids.Add(id))
        {
            line.Refuse("id", $"'{id}' was there before.");
        }

        OperationKind kind = line.Choice<OperationKind>("kind");
        double requested = line.Seconds("requestedAt");
        long memory = line.Whole("memoryBytes", 1);
        int source = line.Has("sourceHost") || line.Has("sourceRack") ? HostOf(line, "sourceHost", "sourceRack") : -1;
        List<RecordedReplica> replicas = [.. line.List("targets").Select((target, i) => Replica(target, $"targets[{i}].", requested))];
        if (replicas.Count(replica => replica.Outcome == RecordedOutcome.Won) > 1)
        {
            line.Refuse("targets", "more than one has won.");
        }

        return new RecordedOperation(id, kind, requested, memory, source, replicas);
    }

    private RecordedReplica Replica(JsonElement json, string path, double requested)
    {
        TraceLine line = new(json, path, "host", "rack", "startedAt", "endedAt", "outcome", "bytesSent");
        int host = HostOf(line, "host", "rack");
        double start = line.Seconds("startedAt"), end = line.Seconds("endedAt");
        if (start < requested)
        {
            line.Refuse("startedAt", "is before requestedAt.");
        }

        if (end < start)
        {
            line.Refuse("endedAt", "is before startedAt.");
        }

        return new RecordedReplica(host, start, end, line.Choice<RecordedOutcome>("outcome"), line.Has("bytesSent") ? line.Whole("bytesSent", 0) : 0);
    }

    private int HostOf(TraceLine line, string hostField, string rackField)
    {
        string host = line.Text(hostField), rackName = line.Text(rackField);
        if (!racks.TryGetValue(rackName, out int rack))
        {
            racks[rackName] = rack = racks.Count;
        }

        if (!hosts.TryGetValue(host, out int number))
        {
            hosts[host] = number = hosts.Count;
            rackOf.Add(rack);
        }
        else if (rackOf[number] != rack)
        {
            line.Refuse(rackField, $"'{host}' was in another rack before.");
        }

        return number;
    }
}
