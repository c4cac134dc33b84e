using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using SpecMesh.Contracts;
using SpecMesh.Speculation.Costs;
using SpecMesh.Speculation.Replication;

namespace SpecMesh.Speculation.SpecOps;

/// <summary>What the decider is told besides the message itself; recorded with the events, so that the decision can be taken again.</summary>
/// <param name="Ownership">The machine's event stream at the moment of the decision.</param>
/// <param name="UnknownHosts">Those of the request's targets that no host has ever registered as.</param>
/// <param name="OwnerSuspicion">Why the owner's host is suspected; null while it is trusted, and where the decision does not ask.</param>
/// <param name="UnfitHosts">Those of the hosts that wait for a hedge that are not what they were when they were chosen; absent where there are none.</param>
public sealed record SpecOpFacts(
    OwnershipView Ownership,
    IReadOnlyList<string> UnknownHosts,
    Reason? OwnerSuspicion = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<UnfitHost>? UnfitHosts = null);

/// <summary>A host that would get no replica now.</summary>
/// <param name="HostId">The host.</param>
/// <param name="Reason">Why it is suspected, or taken for dead.</param>
/// <param name="IsFenced">True when it is confirmed dead.</param>
public sealed record UnfitHost(string HostId, Reason Reason, bool IsFenced);

/// <summary>What makes a request refused: each rule names the field and tells why.</summary>
public static class SpecOpRules
{
    public const int MaxReplicas = 16;
    public const int MaxTargets = 64;
    public const long MinMemoryBytes = 1L << 20;
    public const long MaxMemoryBytes = 1L << 40;
    public const int PageBytes = 4096;

    /// <summary>A name of a machine or host: 1 to 63 of <c>a-z 0-9 -</c>, beginning with a letter or digit, as DNS labels are (RFC 1123).</summary>
    public static bool IsName(string? name) =>
        name is { Length: >= 1 and <= 63 } && name[0] != '-' && name.All(c => c is (>= 'a' and <= 'z') or (>= '0' and <= '9') or '-');

    /// <summary>The number of replicas that a request asks for, or the most where a policy chooses it: one where the manager runs no more, however many targets it may choose from.</summary>
    public static int SqOf(SubmitSpecOp request) =>
        request.Sq is null && RunsOneAtATime(request) ? 1 : ReplicationRules.MostReplicas(request.Replication, request.Sq, request.Targets?.Count ?? 0);

    /// <summary>The first thing that is wrong with the request by itself; null when nothing is.</summary>
    public static (string Field, Reason Reason)? FirstError(SubmitSpecOp request, IReadOnlyCollection<string> targetChoices)
    {
        if (request.OperationId == Guid.Empty)
        {
            return Wrong("operationId", "required", "An operation needs an id other than all zeros.");
        }

        if (!Enum.IsDefined(request.Kind))
        {
            return Wrong("kind", "unknown-kind", "The kind is PowerOn or Migrate.");
        }

        if (!IsName(request.VmId))
        {
            return Wrong("vmId", "invalid-name", "A machine's name is 1 to 63 of a-z, 0-9 and '-', and does not begin with '-'.");
        }

        return TargetsError(request)
            ?? ReplicationError(request)
            ?? SqError(request)
            ?? CostError(request)
            ?? NameError("targetChoice", request.TargetChoice, targetChoices)
            ?? NameError("manager", request.Manager, [.. Managers.ByName.Keys])
            ?? VmError(request)
            ?? (request.RequestedBy is { Length: > 200 } ? Wrong("requestedBy", "too-long", "At most 200 characters.") : null);
    }

    /// <summary>The first thing that does not fit the world as it is; null when everything does.</summary>
    public static (string Field, Reason Reason)? FirstConflict(SubmitSpecOp request, SpecOpFacts facts)
    {
        OwnershipView vm = facts.Ownership;
        if (request.Kind == OperationKind.Migrate && vm.Vm is null)
        {
            return Wrong("vmId", "unknown-vm", $"There is no machine {request.VmId}.");
        }

        if (vm.OpenOperationId is { } open)
        {
            return Wrong("vmId", "operation-open", $"{request.VmId} is in operation {open}; one operation at a time.");
        }

        if (request.Kind == OperationKind.Migrate && vm.OwnerHostId is null)
        {
            return Wrong("vmId", "not-running", $"{request.VmId} runs nowhere; power it on first.");
        }

        if (request.Kind == OperationKind.PowerOn && vm.OwnerHostId is not null)
        {
            return facts.OwnerSuspicion is { } silent
                ? Wrong("vmId", "owner-unknown", $"{request.VmId} belongs to {vm.OwnerHostId}, and whether it runs there is unknown: {silent.Detail} If that host is dead, confirm it: specmesh host fence {vm.OwnerHostId}.")
                : Wrong("vmId", "already-running", $"{request.VmId} runs on {vm.OwnerHostId}.");
        }

        if (request.Kind == OperationKind.PowerOn && vm.Vm is null && request.Vm is null)
        {
            return Wrong("vm", "required", $"{request.VmId} is new: say what to build.");
        }

        if (request.Vm is not null && vm.Vm is not null && request.Vm != vm.Vm)
        {
            return Wrong("vm", "already-defined", $"{request.VmId} is defined already, and otherwise.");
        }

        return TargetConflict(request, facts);
    }

    /// <summary>Digest of the caller's wishes (SHA-256 over the contract's JSON, 32 hexadecimal digits), to tell a repetition from another request with the same id.</summary>
    public static string Fingerprint(SubmitSpecOp request)
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(request with { RequestedBy = null }, ContractJson.Options);
        return Convert.ToHexStringLower(SHA256.HashData(json).AsSpan(0, 16));
    }

    private static (string Field, Reason Reason)? TargetsError(SubmitSpecOp request)
    {
        IReadOnlyList<string> targets = request.Targets ?? [];
        if (targets.Count > MaxTargets)
        {
            return Wrong("targets", "too-many", "At most 64 targets can be named.", targets.Count, MaxTargets);
        }

        HashSet<string> seen = new(StringComparer.Ordinal);
        for (int i = 0; i < targets.Count; i++)
        {
            if (!IsName(targets[i]))
            {
                return Wrong($"targets[{i}]", "invalid-name", "A host's name is 1 to 63 of a-z, 0-9 and '-', and does not begin with '-'.");
            }

            if (!seen.Add(targets[i]))
            {
                return Wrong($"targets[{i}]", "duplicate", $"{targets[i]} is named twice.");
            }
        }

        return request.Targets is { Count: 0 } ? Wrong("targets", "empty", "Name at least one target, or leave the field out.") : null;
    }

    private static (string Field, Reason Reason)? SqError(SubmitSpecOp request)
    {
        int sq = SqOf(request);
        if (sq is < 1 or > MaxReplicas)
        {
            string field = request.Sq is null ? "targets" : "sq";
            return Wrong(field, "out-of-range", $"An operation has 1 to {MaxReplicas} replicas.", sq, MaxReplicas);
        }

        if (request.Targets is { Count: > 0 } targets && sq > targets.Count && request.Sq is not null)
        {
            return Wrong("sq", "out-of-range", "There are more replicas than targets.", sq, targets.Count);
        }

        if (RunsOneAtATime(request) && sq > 1)
        {
            return Wrong("sq", "out-of-range", $"The manager {request.Manager} runs one replica at a time.", sq, 1);
        }

        return null;
    }

    private static (string Field, Reason Reason)? ReplicationError(SubmitSpecOp request) =>
        request.Replication is { } wish && ReplicationRules.FirstError(wish, request.Sq is not null, RunsOneAtATime(request)) is { } error
            ? Wrong(error.Field, error.Code, error.Detail)
            : null;

    private static bool RunsOneAtATime(SubmitSpecOp request) =>
        request.Manager is { } name && Managers.ByName.TryGetValue(name, out Manager? manager) && !manager.AllowsReplicas;

    private static (string Field, Reason Reason)? CostError(SubmitSpecOp request) =>
        request.Cost is { } cost && CostRules.FirstError(cost) is { } error ? Wrong(error.Field, "out-of-range", error.Detail) : ((string, Reason)?)null;

    private static (string Field, Reason Reason)? VmError(SubmitSpecOp request)
    {
        if (request.Vm is not { } vm)
        {
            return null;
        }

        if (request.Kind != OperationKind.PowerOn)
        {
            return Wrong("vm", "not-allowed", "Only a power-on defines a machine.");
        }

        if (vm.MemoryBytes is < MinMemoryBytes or > MaxMemoryBytes || vm.MemoryBytes % PageBytes != 0)
        {
            return Wrong("vm.memoryBytes", "out-of-range", "Memory is a multiple of 4096 bytes, from 1 MiB to 1 TiB.");
        }

        return vm.WritePagesPerSecond is >= 0 and <= 1e9 ? null : Wrong("vm.writePagesPerSecond", "out-of-range", "The write rate is 0 to 1e9 pages per second.");
    }

    private static (string Field, Reason Reason)? TargetConflict(SubmitSpecOp request, SpecOpFacts facts)
    {
        IReadOnlyList<string> targets = request.Targets ?? [];
        for (int i = 0; i < targets.Count; i++)
        {
            if (facts.UnknownHosts.Contains(targets[i]))
            {
                return Wrong($"targets[{i}]", "unknown-host", $"There is no host {targets[i]}.");
            }

            if (targets[i] == facts.Ownership.OwnerHostId)
            {
                return Wrong($"targets[{i}]", "target-is-source", $"{request.VmId} runs on {targets[i]} already.");
            }
        }

        return null;
    }

    private static (string Field, Reason Reason)? NameError(string field, string? name, IReadOnlyCollection<string> known) =>
        name is null || known.Contains(name) ? null : Wrong(field, "unknown-policy", $"Known are: {string.Join(", ", known.Order(StringComparer.Ordinal))}.");

    private static (string Field, Reason Reason) Wrong(string field, string code, string detail, double? observed = null, double? limit = null) =>
        (field, new Reason(code, detail, observed, limit));
}
