using System.Collections.Immutable;
using SpecMesh.Contracts;
using SpecMesh.Speculation.Replication;

namespace SpecMesh.Speculation.Placement;

/// <summary>Where hosts are chosen.</summary>
public static class PlacementDecider
{
    private enum Fit
    {
        Fits,
        NotAllowed,
        Excluded,
        InMaintenance,
        Suspected,
        LacksMemory,
    }

    /// <summary>
    /// Answers a <see cref="SelectTargets"/> with <see cref="TargetsReserved"/> or <see cref="TargetsRefused"/>. A request that was answered with
    /// hosts before gets the same hosts again, also when their reservations are gone by now; a refused one reserved nothing and is decided afresh.
    /// </summary>
    /// <param name="fleet">All hosts.</param>
    /// <param name="command">The request. It also seeds the only chance in the choice, so that the same fleet gives the same hosts.</param>
    /// <param name="now">Present time.</param>
    /// <returns>For each chosen host a <see cref="HostReserved"/>, and a <see cref="ReservationDeadline"/> that makes it a lease.</returns>
    public static PlacementDecision Decide(Fleet fleet, SelectTargets command, DateTimeOffset now)
    {
        RequestKey key = new(command.OperationId, command.Request);
        List<HostState> before = [.. fleet.Hosts.Values.Where(host => host.Answered(key))];
        if (before.Count > 0)
        {
            IReadOnlyList<string> again = InOrderOfStart(fleet, before, command, now);
            return Answer(new TargetsReserved(command.OperationId, command.Request, again, new Reason("targets-reserved", "The request was answered before with these hosts.")));
        }

        if (WhatIsWrong(command, now) is { } wrong)
        {
            return Refuse(command, wrong);
        }

        List<(HostState Host, Fit Fit)> judged = [.. fleet.Hosts.Values.Where(host => host.IsRegistered).Select(host => (host, Judge(fleet, host, command)))];
        List<HostState> fitting = [.. judged.Where(j => j.Fit == Fit.Fits).Select(j => j.Host)];
        string story = Describe(command, judged, fitting.Count);
        if (fitting.Count == 0 || (fitting.Count < command.Count && !command.AcceptFewer))
        {
            return Refuse(command, new Reason("no-fitting-hosts", story, fitting.Count, command.Count));
        }

        TargetChoice.TryGet(command.TargetChoice, out ChooseTargets? choose);
        Prng random = new(Prng.SeedOf(command.OperationId, command.Request));
        if (command.Replication is { Policy: ReplicationRules.Adaptive } wish)
        {
            (IReadOnlyList<HostState> fewest, ReplicationVerdict verdict) = AdaptiveTargets.Choose(fleet, choose!(fitting, fitting.Count, random), command, wish, now);
            Reason why = verdict.ToReason();
            return Reserve(command, InOrderOfStart(fleet, fewest, command, now), why with { Code = "targets-reserved", Detail = $"{story} {fewest.Count} chosen ({why.Code}): {why.Detail}" });
        }

        IReadOnlyList<HostState> chosen = choose!(fitting, Math.Min(command.Count, fitting.Count), random);
        return Reserve(command, InOrderOfStart(fleet, chosen, command, now), new Reason("targets-reserved", story, fitting.Count, command.Count));
    }

    /// <summary>
    /// Replicas that start one after the other start on the hosts that are least likely to fail them, by what is known now. Where all start at once the order says nothing, and is that of the ids.
    /// </summary>
    private static IReadOnlyList<string> InOrderOfStart(Fleet fleet, IReadOnlyList<HostState> hosts, SelectTargets command, DateTimeOffset now) =>
        command.Replication is { Policy: ReplicationRules.Hedged }
            ? [.. AdaptiveTargets.BestFirst(fleet, hosts, now).Select(host => host.HostId)]
            : [.. hosts.Select(host => host.HostId).Order(StringComparer.Ordinal)];

    private static Reason? WhatIsWrong(SelectTargets command, DateTimeOffset now) => command switch
    {
        { Count: < 1 } => new Reason("count-out-of-range", "At least one host must be asked for.", command.Count, 1),
        { Count: > AdaptiveReplication.MostReplicas, Replication.Policy: ReplicationRules.Adaptive } => new Reason(
            "count-out-of-range", "The policy adaptive chooses among fewer replicas.", command.Count, AdaptiveReplication.MostReplicas),
        { MemoryBytes: < 1 } => new Reason("memory-out-of-range", "A reservation needs memory.", command.MemoryBytes, 1),
        _ when !TargetChoice.TryGet(command.TargetChoice, out _) => new Reason(
            "unknown-target-choice", $"There is no target choice '{command.TargetChoice}'; there are {string.Join(", ", TargetChoice.Names)}."),
        _ when command.LeaseUntil <= now => new Reason("lease-lapsed", "The lease that was asked for is over already."),
        _ => null,
    };

    /// <summary>Each host counts under the first rule that it breaks.</summary>
    private static Fit Judge(Fleet fleet, HostState host, SelectTargets command) => host switch
    {
        _ when command.Allowed.Count > 0 && !command.Allowed.Contains(host.HostId, StringComparer.Ordinal) => Fit.NotAllowed,
        _ when command.Excluded.Contains(host.HostId, StringComparer.Ordinal) => Fit.Excluded,
        { InMaintenance: true } => Fit.InMaintenance,
        _ when fleet.Suspected.ContainsKey(host.HostId) => Fit.Suspected,
        _ when host.FreeBytesFor(command.OperationId) < command.MemoryBytes => Fit.LacksMemory,
        _ => Fit.Fits,
    };

    private static string Describe(SelectTargets command, List<(HostState Host, Fit Fit)> judged, int fitting)
    {
        List<string> parts = [$"{command.Count} wanted, {fitting} of {judged.Count} hosts fit"];
        AddCount(parts, judged, Fit.NotAllowed, "not among the allowed targets");
        AddCount(parts, judged, Fit.Excluded, "excluded");
        AddCount(parts, judged, Fit.InMaintenance, "in maintenance");
        AddCount(parts, judged, Fit.Suspected, "suspected");
        AddCount(parts, judged, Fit.LacksMemory, $"with less than {command.MemoryBytes} bytes free");
        HashSet<string> known = [.. judged.Select(j => j.Host.HostId)];
        int unknown = command.Allowed.Distinct(StringComparer.Ordinal).Count(hostId => !known.Contains(hostId));
        if (unknown > 0)
        {
            parts.Add($"{unknown} allowed but unknown");
        }

        return $"{string.Join("; ", parts)}; choice {command.TargetChoice}.";
    }

    private static void AddCount(List<string> parts, List<(HostState Host, Fit Fit)> judged, Fit fit, string text)
    {
        int count = judged.Count(j => j.Fit == fit);
        if (count > 0)
        {
            parts.Add($"{count} {text}");
        }
    }

    private static PlacementDecision Reserve(SelectTargets command, IReadOnlyList<string> hostIds, Reason reason)
    {
        ImmutableSortedDictionary<string, IReadOnlyList<object>> events = hostIds.ToImmutableSortedDictionary(
            hostId => hostId,
            hostId => (IReadOnlyList<object>)[new HostReserved(hostId, command.OperationId, command.Request, command.MemoryBytes, command.LeaseUntil)],
            StringComparer.Ordinal);
        return new PlacementDecision(
            events,
            [
                new Effect(new TargetsReserved(command.OperationId, command.Request, hostIds, reason)),
                .. hostIds.Select(hostId => new Effect(new ReservationDeadline(hostId, command.OperationId), DueAt: command.LeaseUntil)),
            ]);
    }

    private static PlacementDecision Refuse(SelectTargets command, Reason reason) =>
        Answer(new TargetsRefused(command.OperationId, command.Request, reason));

    private static PlacementDecision Answer(object message) => PlacementDecision.Nothing with { Effects = [new Effect(message)] };
}
