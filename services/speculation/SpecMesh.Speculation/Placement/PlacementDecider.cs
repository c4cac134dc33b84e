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
    /// <param name="policy">What the cluster's operator lays down; null: <see cref="SpeculationPolicy.Default"/>.</param>
    /// <returns>For each chosen host a <see cref="HostReserved"/>, and a <see cref="ReservationDeadline"/> that makes it a lease.</returns>
    public static PlacementDecision Decide(Fleet fleet, SelectTargets command, DateTimeOffset now, SpeculationPolicy? policy = null)
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

        return SpeculationDecider.Concerns(command, policy ?? SpeculationPolicy.Default)
            ? Speculate(fleet, fitting, command, policy ?? SpeculationPolicy.Default, story, now)
            : Reserve(command, InOrderOfStart(fleet, [.. Preferred(fitting, command).Take(command.Count)], command, now), new Reason("targets-reserved", story, fitting.Count, command.Count));
    }

    /// <summary>The number of replicas depends on how hosts have fared, or on what the cluster affords.</summary>
    private static PlacementDecision Speculate(Fleet fleet, List<HostState> fitting, SelectTargets command, SpeculationPolicy policy, string story, DateTimeOffset now)
    {
        IReadOnlyList<HostState> preferred = Preferred(fitting, command);
        bool isAdaptive = SpeculationDecider.IsAdaptive(command.Replication);
        FleetFailureRates rates = new(fleet, now, EstimationOptions.Default);
        IReadOnlyList<RankedHost> ranked = isAdaptive
            ? AdaptiveTargets.Rank(rates, preferred, SpeculationDecider.OptionsOf(command.Replication!, command.Count, policy.LowerMargin))
            : [];
        SpeculationQuestion question = new(
            command.OperationId,
            command.Request,
            command.Count,
            command.Replication,
            command.Allowed.Count == 0,
            fitting.Count,
            ranked,
            isAdaptive ? AdaptiveTargets.Overdue(fleet, rates, fitting, policy, now) : [],
            policy,
            now);
        SpeculationAnswer answer = SpeculationDecider.Decide(fleet.Speculation, question);
        if (answer.BudgetCut is { } cut && !command.AcceptFewer)
        {
            return Refuse(command, cut);
        }

        IEnumerable<string> chosen = (isAdaptive ? ranked.Select(host => host.HostId) : preferred.Select(host => host.HostId)).Take(answer.Replicas);
        IEnumerable<string> hostIds = answer.Probe is { } probe ? chosen.Append(probe.HostId) : chosen;
        IReadOnlyList<string> inOrder = InOrderOfStart(fleet, [.. hostIds.Select(hostId => fleet.Hosts[hostId])], command, now);
        PlacementDecision reserved = Reserve(command, inOrder, WhySoMany(answer, fitting.Count, command, story), answer.Recorded.Verdicts);
        return reserved with { Speculation = new SpeculationStep(question, answer.Recorded) };
    }

    private static Reason WhySoMany(SpeculationAnswer answer, int fitting, SelectTargets command, string story)
    {
        string verdicts = string.Concat(answer.Recorded.Verdicts.Select(verdict => $" {verdict.Code}: {verdict.Detail}"));
        Reason why = answer.Number is { } number ? number.ToReason() : answer.BudgetCut ?? new Reason("", "", fitting, command.Count);
        return why with { Code = "targets-reserved", Detail = verdicts.Length == 0 ? story : $"{story} {answer.Recorded.Replicas} chosen.{verdicts}" };
    }

    /// <summary>All fitting hosts, those first that the named choice prefers.</summary>
    private static IReadOnlyList<HostState> Preferred(List<HostState> fitting, SelectTargets command)
    {
        TargetChoice.TryGet(command.TargetChoice, out ChooseTargets? choose);
        return choose!(fitting, fitting.Count, new Prng(Prng.SeedOf(command.OperationId, command.Request)));
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

    private static PlacementDecision Reserve(SelectTargets command, IReadOnlyList<string> hostIds, Reason reason, IReadOnlyList<Reason>? verdicts = null)
    {
        ImmutableSortedDictionary<string, IReadOnlyList<object>> events = hostIds.ToImmutableSortedDictionary(
            hostId => hostId,
            hostId => (IReadOnlyList<object>)[new HostReserved(hostId, command.OperationId, command.Request, command.MemoryBytes, command.LeaseUntil)],
            StringComparer.Ordinal);
        return new PlacementDecision(
            events,
            [
                new Effect(new TargetsReserved(command.OperationId, command.Request, hostIds, reason, verdicts is { Count: > 0 } ? verdicts : null)),
                .. hostIds.Select(hostId => new Effect(new ReservationDeadline(hostId, command.OperationId), DueAt: command.LeaseUntil)),
            ]);
    }

    private static PlacementDecision Refuse(SelectTargets command, Reason reason) =>
        Answer(new TargetsRefused(command.OperationId, command.Request, reason));

    private static PlacementDecision Answer(object message) => PlacementDecision.Nothing with { Effects = [new Effect(message)] };
}
