using System.Collections;
using System.Globalization;
using System.Reflection;
using System.Text.Json;
using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;
using static SpecMesh.Speculation.Tests.SpecOps.Scenario;

namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>
/// Plays the commands of a script. The first word says who is told: an operation's message by name, <c>source</c>, or <c>target</c> with its replica's number.
/// Appends to the event stream of the machine are made by the commands <c>commit</c> and <c>refuse</c>, when the script says so.
/// </summary>
internal sealed class ScriptedOperation
{
    private static readonly HashSet<string> Untold = ["OperationId", "VmId", "Vm", "Cost", "At", "Fingerprint", "EqualityContract", "Targets", "TargetChoice", "Detail", "DataEndpoint", "Counters", "MemoryBytes", "LeaseUntil", "Manager", "RequestedBy", "DeadlineAt", "Observed", "Limit"];
    private static readonly IReadOnlyDictionary<int, ReplicaCounters> NoCounters = new Dictionary<int, ReplicaCounters>();

    private readonly Scenario operation = new();
    private readonly Dictionary<int, TargetState> targets = [];
    private SourceState? source;

    public List<string> Play(string command)
    {
        string[] words = command.Split(' ');
        return words[0] switch
        {
            "source" => Source(words),
            "target" => Target(words),
            _ => Operation(words),
        };
    }

    private List<string> Operation(string[] words)
    {
        object message = words[0] switch
        {
            "submit" => Submit(words),
            "reserved" => new TargetsReserved(Id, operation.State.AnsweredRequests, words[1..], Why),
            "no-targets" => new TargetsRefused(Id, operation.State.AnsweredRequests, new Reason("no-fitting-hosts", "None.")),
            "started" => new ReplicaStarted(Id, Number(words[1]), Epoch, HostOf(words[1]), "127.0.0.1:7000"),
            "rounds" => new ReplicaRoundsReported(Id, Epoch, [LateMessageTests.Round(Number(words[1]), Number(words[2]))]),
            "ready" => new ReplicaReady(Id, Number(words[1]), Epoch, HostOf(words[1]), 0, "d"),
            "failed" => new ReplicaFailed(Id, Number(words[1]), Epoch, HostOf(words[1]), new Reason(words[2], "It broke."), ReplicaCounters.None),
            "cleaned" => new ReplicaCleaned(Id, Number(words[1]), HostOf(words[1])),
            "resumed" => new ReplicaResumed(Id, Number(words[1]), HostOf(words[1]), Start),
            "released" => new SourceReleased(Id, "a", words[1] == "destroyed", 12.5, [], []),
            "won" => new OwnershipTransferred(Vm, Id, operation.View.OwnerReplica!.Value, operation.View.OwnerHostId!, operation.View.Epoch, 0, "d"),
            "cancel" => new CancelSpecOp(Id),
            "deadline" => new SpecOpDeadline(Id),
            "retry" => new RetryDeadline(Id, Number(words[1])),
            "replica-deadline" => new ReplicaDeadline(Id, Number(words[1])),
            "cleanup" => new CleanupDeadline(Id, Number(words[1])),
            _ => throw new InvalidOperationException($"No command {words[0]}."),
        };
        SpecOpDecision decision = operation.Do(message);
        foreach (StartReplica start in decision.Effects.Select(effect => effect.Message).OfType<StartReplica>())
        {
            targets[start.Replica] = new TargetState(start);
        }

        return
        [
            .. decision.Events.Select(e => $"event {Short(e)}"),
            .. decision.OwnershipEvents.Select(e => $"vm event {Short(e)}"),
            .. decision.Effects.Select(e => $"{(e.HostId is null ? "send" : $"to {e.HostId}")} {Short(e.Message)}{(e.DueAt is { } due ? $" after {(due - operation.Now).TotalSeconds} s" : "")}"),
            $"= {operation.State.Phase}",
        ];
    }

    private List<string> Source(string[] words)
    {
        source ??= new SourceState(Id, Vm, "a", Epoch, operation.State.Accepted!.OwnershipVersion);
        SourceInput input = words[1] switch
        {
            "join" => new SourceInput.Join(new ConnectReplica(Id, Number(words[2]), Epoch, Vm, "a", HostOf(words[2]), "127.0.0.1:7000", operation.State.Accepted!.OwnershipVersion, new CostLimits(60))),
            "opened" => new SourceInput.StreamOpened(Number(words[2])),
            "round" => new SourceInput.RoundEnded(LateMessageTests.Round(Number(words[2]), Number(words[3]), pending: Number(words[5])), new ReplicaCounters(4096, 1, Number(words[3]), 0, 5)),
            "suspended" => new SourceInput.GuestSuspended(),
            "ready" => new SourceInput.ReadyReceived(Number(words[2]), source.Incarnation, "d"),
            "journaled" => new SourceInput.VoteJournaled(),
            "broken" => new SourceInput.StreamFailed(Number(words[2]), new Reason("stream-lost", "It broke."), ReplicaCounters.None),
            "hint" => new SourceInput.ResumedHint(Number(words[2])),
            "release" => new SourceInput.Release(),
            "observe" => new SourceInput.OwnershipObserved(operation.View),
            "refuse" => new SourceInput.RefusalAnswered(Append(OwnershipDecider.Refuse(operation.View, new RefuseTransfer(Id, "a", Epoch, source.OwnershipVersion, new Reason("no-word", "No commit came."))))),
            "resumed" => new SourceInput.GuestResumed(),
            "destroyed" => new SourceInput.GuestDestroyed(),
            "tick" => new SourceInput.Tick(NoCounters),
            _ => throw new InvalidOperationException($"No command source {words[1]}."),
        };
        if (words[1] == "tick")
        {
            operation.Now += TimeSpan.FromSeconds(Number(words[2]));
        }

        (source, IReadOnlyList<SourceEffect> effects) = SourceProtocol.Step(source, input, SourceLimits.Default, operation.Now);
        return [.. effects.Select(Short), $"= {source.Phase}, incarnation {source.Incarnation}, next vote at {source.OwnershipVersion}"];
    }

    private List<string> Target(string[] words)
    {
        int replica = Number(words[1]);
        TargetState target = targets[replica];
        TargetInput input = words[2] switch
        {
            "start" => new TargetInput.Start(),
            "built" => new TargetInput.ShellBuilt(target.Command.SourceHostId is null ? null : "127.0.0.1:7000", "d"),
            "image" => new TargetInput.ImageComplete(source!.Incarnation, "d", source.OwnershipVersion),
            "voided" => new TargetInput.ImageVoided(),
            "vote" => new TargetInput.VoteReceived(Number(words[3]), target.Incarnation, Epoch),
            "commit" => new TargetInput.CommitAnswered(Append(OwnershipDecider.Transfer(
                operation.View, new TransferOwnership(Id, replica, target.Command.HostId, Epoch, target.VotedVersion, target.Incarnation, target.Digest)))),
            "lost" => new TargetInput.StreamLost(new Reason("stream-lost", "It broke.")),
            "observe" => new TargetInput.OwnershipObserved(operation.View),
            "abort" => new TargetInput.Abort(new AbortReplica(Id, replica, Epoch, Vm, target.Command.HostId, ReplicaOutcome.Aborted, new Reason("lost-the-race", "Another won."))),
            "started" => new TargetInput.GuestStarted(),
            "destroyed" => new TargetInput.ShellDestroyed(),
            "tick" => new TargetInput.Tick(),
            _ => throw new InvalidOperationException($"No command target {words[2]}."),
        };
        (targets[replica], IReadOnlyList<TargetEffect> effects) = TargetProtocol.Step(target, input, operation.Now);
        return [.. effects.Select(Short), $"= {targets[replica].Phase}"];
    }

    private int Epoch => operation.State.Accepted!.Epoch;

    private SubmitSpecOp Submit(string[] words)
    {
        Dictionary<string, string> said = words[1..].Select(word => word.Split('=')).ToDictionary(pair => pair[0], pair => pair[1]);
        if (said.GetValueOrDefault("kind") == "power-on")
        {
            // A machine that was defined before, and runs nowhere yet.
            operation.PutView(new OwnershipView(Vm, 1, Definition, 0, null, null, null, null));
            return PowerOn(Number(said["sq"]));
        }

        return Migrate(said.TryGetValue("sq", out string? sq) ? Number(sq) : null, null, said.GetValueOrDefault("manager"));
    }

    private OwnershipAnswer Append(OwnershipDecision decision)
    {
        operation.Append(decision.Events);
        return new OwnershipAnswer(decision.Accepted, operation.View, decision.Reason);
    }

    private string HostOf(string replica) => operation.State.Replicas[Number(replica)].HostId;

    private static int Number(string word) => int.Parse(word, CultureInfo.InvariantCulture);

    /// <summary>Name and telling fields of a record, in the order of its declaration.</summary>
    private static string Short(object record)
    {
        IEnumerable<string> fields = record.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .Where(property => !Untold.Contains(property.Name) && property.GetIndexParameters().Length == 0)
            .Select(property => (property.Name, Value: property.GetValue(record)))
            .Where(field => field.Value is not null)
            .Select(field => $" {JsonNamingPolicy.CamelCase.ConvertName(field.Name)}={Value(field.Value!)}");
        return record.GetType().Name + string.Concat(fields);
    }

    private static string Value(object value) => value switch
    {
        Reason reason => reason.Code,
        string text => text,
        IEnumerable items => $"[{string.Join(' ', items.Cast<object>().Select(Value))}]",
        Enum or ValueType => string.Create(CultureInfo.InvariantCulture, $"{value}"),
        PlannedReplica planned => $"{planned.Replica}:{planned.HostId}",
        _ => $"({Short(value)})",
    };
}
