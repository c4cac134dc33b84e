using System.Diagnostics;
using SpecMesh.Cli.Commands;
using SpecMesh.Contracts;
using SpecMesh.EventStore;
using SpecMesh.Hypervisors;
using SpecMesh.Speculation;
using SpecMesh.Speculation.Placement;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Cli.Demo;

/// <summary>The demonstration from the first host to the last leftover.</summary>
internal sealed class DemoRun(DemoSystem system, DemoOptions options, DemoScreen screen)
{
    private static readonly TimeSpan StartBound = TimeSpan.FromSeconds(120);

    public async Task<DemoResult> RunAsync(CancellationToken cancellationToken)
    {
        HostInspection hosts = new(system.StateOf);
        IReadOnlyList<HostState> known = await WaitForHostsAsync(cancellationToken);
        Prng random = new(options.Seed);
        string source = random.Shuffle(known.Where(host => host.FreeBytes >= options.MemoryBytes).OrderBy(host => host.HostId, StringComparer.Ordinal))[0].HostId;
        List<string> others = [.. random.Shuffle(known.Select(host => host.HostId).Where(host => host != source).Order(StringComparer.Ordinal))];
        List<string> targets = [.. others.Take(options.Sq)];
        string vmId = $"demo-{options.Seed}-{Guid.NewGuid().ToString("N")[..8]}";
        try
        {
            await PowerOnAsync(vmId, source, cancellationToken);
            await BreakTargetsAsync(targets, cancellationToken);
            SpecOpState operation = await MigrateAsync(vmId, targets, cancellationToken);
            await MendTargetsAsync(targets, cancellationToken);
            return await InspectAsync(vmId, operation, hosts, cancellationToken);
        }
        finally
        {
            await hosts.DestroyAllAsync(vmId, CancellationToken.None);
        }
    }

    private async Task<IReadOnlyList<HostState>> WaitForHostsAsync(CancellationToken cancellationToken)
    {
        Stopwatch waited = Stopwatch.StartNew();
        while (waited.Elapsed < StartBound)
        {
            List<HostState> known = [];
            foreach (string hostId in system.StateOf.Keys)
            {
                known.Add((await NewWork().LoadAsync(EventStreams.OfHost(hostId), HostState.Unknown(hostId), HostState.Evolve, cancellationToken)).State);
            }

            if (known.All(host => host.IsRegistered))
            {
                screen.Say($"{known.Count} hosts are up");
                return known;
            }

            await system.Store.WaitForChangeAsync(TimeSpan.FromMilliseconds(100), cancellationToken);
        }

        throw new CommandException("Not all hosts came up in time; --verbose shows why.");
    }

    private async Task PowerOnAsync(string vmId, string source, CancellationToken cancellationToken)
    {
        SubmitSpecOp powerOn = new(
            Guid.CreateVersion7(), OperationKind.PowerOn, vmId, 1, [source], Vm: new VmDefinition(options.MemoryBytes, options.WritePagesPerSecond, options.Seed), RequestedBy: "demo");
        SpecOpState state = await RunOperationAsync(powerOn, show: false, cancellationToken);
        if (state.Completed?.Outcome != OperationOutcome.Succeeded)
        {
            throw new CommandException($"The guest could not be started: {(state.Completed?.Reason ?? state.Refused?.Reason)?.Detail}");
        }

        screen.Say($"{vmId} runs on {source}: {options.MemoryBytes >> 20} MiB, {options.WritePagesPerSecond:0} pages written per second");
    }

    private async Task BreakTargetsAsync(List<string> targets, CancellationToken cancellationToken)
    {
        foreach ((string target, int i) in targets.Select((target, i) => (target, i)))
        {
            InjectFault? fault = i < options.FailedTargets
                ? new InjectFault(target, FaultKind.FailTransfer, AfterBytes: options.MemoryBytes / 8)
                : i < options.FailedTargets + options.SlowTargets ? new InjectFault(target, FaultKind.ThrottleTransfer, BytesPerSecond: options.SlowRate) : null;
            if (fault is not null)
            {
                await system.Bus.SendAsync(HostQueue.Of(target), fault, cancellationToken);
                screen.Say(fault.Fault == FaultKind.FailTransfer ? $"{target} will break its transfer" : $"{target} will receive {options.SlowRate >> 20} MiB/s at most");
            }
        }
    }

    private async Task MendTargetsAsync(List<string> targets, CancellationToken cancellationToken)
    {
        foreach (string target in targets.Take(options.FailedTargets + options.SlowTargets))
        {
            await system.Bus.SendAsync(HostQueue.Of(target), new InjectFault(target, FaultKind.None), cancellationToken);
        }
    }

    private async Task<SpecOpState> MigrateAsync(string vmId, List<string> targets, CancellationToken cancellationToken)
    {
        int replicas = Math.Min(options.Sq, targets.Count);
        if (replicas < options.Sq)
        {
            screen.Say($"this system has {targets.Count} other hosts: {replicas} replicas instead of {options.Sq}");
        }

        SubmitSpecOp migrate = new(Guid.CreateVersion7(), OperationKind.Migrate, vmId, replicas, targets, options.Cost, RequestedBy: "demo");
        return await RunOperationAsync(migrate, show: true, cancellationToken);
    }

    /// <summary>Publishes the command and follows the operation's event stream to its end.</summary>
    private async Task<SpecOpState> RunOperationAsync(SubmitSpecOp command, bool show, CancellationToken cancellationToken)
    {
        await system.Bus.PublishAsync(command, cancellationToken);
        string stream = EventStreams.OfOperation(command.OperationId);
        SpecOpState state = new(command.OperationId);
        long version = 0;
        using IDisposable? table = show ? screen.Follow(() => state, system.Progress) : null;
        while (state.Phase is not (SpecOpPhase.Settled or SpecOpPhase.Refused))
        {
            Task changed = system.Store.WaitForChangeAsync(TimeSpan.FromMilliseconds(100), cancellationToken);
            IReadOnlyList<StoredEvent> page = await system.Store.ReadStreamAsync(stream, version, 500, cancellationToken);
            foreach (StoredEvent stored in page)
            {
                version = stored.Version;
                state = SpecOpState.Evolve(state, stored.Data);
                if (show)
                {
                    screen.Record(stored, system.Types);
                }
            }

            if (page.Count == 0)
            {
                await changed;
            }
        }

        return state;
    }

    private async Task<DemoResult> InspectAsync(string vmId, SpecOpState operation, HostInspection hosts, CancellationToken cancellationToken)
    {
        IReadOnlyList<(string HostId, IGuest Guest)> guests = await hosts.FindAsync(vmId, cancellationToken);
        List<(string HostId, IGuest Guest)> runners = [.. guests.Where(found => found.Guest.State == GuestState.Running)];
        string? winner = operation.Completed?.WinnerHostId;
        bool verified = runners.Count == 1 && (winner is null || runners[0].HostId == winner) && await VerifyAsync(runners[0].Guest, cancellationToken);
        List<string> leftovers = [.. guests.Except(runners).Select(found => $"a paused guest of {vmId} on {found.HostId}")];
        leftovers.AddRange(await ReservationsAsync(operation.OperationId, cancellationToken));
        int running = runners.Count;
        await hosts.DestroyAllAsync(vmId, cancellationToken);
        leftovers.AddRange(HostInspection.Processes(vmId));
        return new DemoResult(
            operation.OperationId,
            operation.Completed?.Outcome.ToString().ToLowerInvariant() ?? "refused",
            winner,
            running,
            verified,
            operation.Source?.DowntimeMs,
            operation.Replicas.Values.Sum(replica => replica.Counters.BytesSent),
            [.. operation.Replicas.Values.Select(replica => new DemoReplica(
                replica.HostId,
                replica.Outcome?.ToString().ToLowerInvariant() ?? "running",
                replica.Reason is { } reason ? $"{reason.Code}: {reason.Detail}" : "",
                replica.Counters.Rounds,
                replica.Counters.BytesSent))],
            leftovers);
    }

    /// <summary>Every byte must be right, and the guest must go on counting where it is now.</summary>
    private async Task<bool> VerifyAsync(IGuest guest, CancellationToken cancellationToken)
    {
        GuestVerification verification = await guest.VerifyAsync(cancellationToken);
        screen.Say($"verified {options.MemoryBytes >> 20} MiB after {verification.Steps} steps: {(verification.Intact ? "every byte is right" : $"{verification.BadPages} bad pages")}");
        if (options.WritePagesPerSecond == 0)
        {
            return verification.Intact;
        }

        Stopwatch waited = Stopwatch.StartNew();
        long before = guest.Progress;
        while (guest.Progress == before && waited.Elapsed < StartBound)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(20), cancellationToken);
        }

        return verification.Intact && guest.Progress > before;
    }

    private async Task<IReadOnlyList<string>> ReservationsAsync(Guid operationId, CancellationToken cancellationToken)
    {
        // Placement hears of the operation's end by a message, so it may be a moment behind.
        Stopwatch waited = Stopwatch.StartNew();
        while (true)
        {
            List<string> held = [];
            foreach (string hostId in system.StateOf.Keys)
            {
                HostState host = (await NewWork().LoadAsync(EventStreams.OfHost(hostId), HostState.Unknown(hostId), HostState.Evolve, cancellationToken)).State;
                if (host.Reservations.ContainsKey(operationId))
                {
                    held.Add($"a reservation on {hostId}");
                }
            }

            if (held.Count == 0 || waited.Elapsed > TimeSpan.FromSeconds(20))
            {
                return held;
            }

            await system.Store.WaitForChangeAsync(TimeSpan.FromMilliseconds(100), cancellationToken);
        }
    }

    private UnitOfWork NewWork() => new(system.Store, system.Types, "demo");
}
