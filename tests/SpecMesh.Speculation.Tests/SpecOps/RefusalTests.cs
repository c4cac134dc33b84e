using SpecMesh.Contracts;
using SpecMesh.Speculation.Placement;
using SpecMesh.Speculation.SpecOps;
using static SpecMesh.Speculation.Tests.SpecOps.Scenario;

namespace SpecMesh.Speculation.Tests.SpecOps;

/// <summary>"Bad input gets a refusal with the field named; never a half-started operation."</summary>
public sealed class RefusalTests
{
    private static readonly SubmitSpecOp Good = Migrate(2, ["b", "c"]);

    public static TheoryData<string, string, SubmitSpecOp> WrongByItself => new()
    {
        { "operationId", "required", Good with { OperationId = Guid.Empty } },
        { "kind", "unknown-kind", Good with { Kind = (OperationKind)9 } },
        { "vmId", "invalid-name", Good with { VmId = null! } },
        { "vmId", "invalid-name", Good with { VmId = "" } },
        { "vmId", "invalid-name", Good with { VmId = "-a" } },
        { "vmId", "invalid-name", Good with { VmId = "Vm" } },
        { "vmId", "invalid-name", Good with { VmId = "a/b" } },
        { "vmId", "invalid-name", Good with { VmId = new string('a', 64) } },
        { "targets", "empty", Good with { Sq = null, Targets = [] } },
        { "targets", "too-many", Good with { Targets = [.. Enumerable.Range(0, 65).Select(i => $"h{i}")] } },
        { "targets", "out-of-range", Good with { Sq = null, Targets = [.. Enumerable.Range(0, 17).Select(i => $"h{i}")] } },
        { "targets[1]", "duplicate", Good with { Targets = ["b", "b"] } },
        { "targets[1]", "invalid-name", Good with { Targets = ["b", null!] } },
        { "targets[0]", "invalid-name", Good with { Targets = ["B"] } },
        { "sq", "out-of-range", Good with { Sq = 0 } },
        { "sq", "out-of-range", Good with { Sq = -1 } },
        { "sq", "out-of-range", Good with { Sq = 17, Targets = null } },
        { "sq", "out-of-range", Good with { Sq = 3 } },
        { "sq", "out-of-range", Good with { Sq = 2, Manager = "retry-repick" } },
        { "cost.timeoutSeconds", "out-of-range", Good with { Cost = new CostLimits(0) } },
        { "cost.timeoutSeconds", "out-of-range", Good with { Cost = new CostLimits(-1) } },
        { "cost.timeoutSeconds", "out-of-range", Good with { Cost = new CostLimits(double.NaN) } },
        { "cost.timeoutSeconds", "out-of-range", Good with { Cost = new CostLimits(double.PositiveInfinity) } },
        { "cost.timeoutSeconds", "out-of-range", Good with { Cost = new CostLimits(86_400.001) } },
        { "cost.maxBytes", "out-of-range", Good with { Cost = new CostLimits(MaxBytes: 0) } },
        { "cost.minProgress", "out-of-range", Good with { Cost = new CostLimits(MinProgress: 1) } },
        { "replication.policy", "unknown-policy", Good with { Replication = new ReplicationWish("Adaptive") } },
        { "replication.policy", "unknown-policy", Good with { Replication = new ReplicationWish(null!) } },
        { "replication.policy", "manager-runs-one", Good with { Sq = null, Manager = "retry-repick", Replication = new ReplicationWish("hedged") } },
        { "replication.epsilon", "not-used", Good with { Replication = new ReplicationWish("fixed", 0.01) } },
        { "replication.maxReplicas", "not-used", Good with { Replication = new ReplicationWish("hedged", MaxReplicas: 3) } },
        { "replication.hedgeDelaySeconds", "not-used", Good with { Sq = null, Replication = new ReplicationWish("adaptive", HedgeDelaySeconds: 3) } },
        { "replication.epsilon", "out-of-range", Good with { Sq = null, Replication = new ReplicationWish("adaptive", 1) } },
        { "replication.epsilon", "out-of-range", Good with { Sq = null, Replication = new ReplicationWish("adaptive", double.NaN) } },
        { "replication.maxReplicas", "out-of-range", Good with { Sq = null, Replication = new ReplicationWish("adaptive", MaxReplicas: 17) } },
        { "replication.maxReplicas", "out-of-range", Good with { Sq = null, Replication = new ReplicationWish("adaptive", MaxReplicas: 0) } },
        { "replication.hedgeDelaySeconds", "out-of-range", Good with { Replication = new ReplicationWish("hedged", HedgeDelaySeconds: 0) } },
        { "sq", "not-with-adaptive", Good with { Replication = new ReplicationWish("adaptive") } },
        { "targetChoice", "unknown-policy", Good with { TargetChoice = "best" } },
        { "targetChoice", "unknown-policy", Good with { TargetChoice = "" } },
        { "manager", "unknown-policy", Good with { Manager = "Speculative" } },
        { "vm", "not-allowed", Good with { Vm = Definition } },
        { "vm.memoryBytes", "out-of-range", PowerOn() with { Vm = new VmDefinition(SpecOpRules.MinMemoryBytes - 4096) } },
        { "vm.memoryBytes", "out-of-range", PowerOn() with { Vm = new VmDefinition(SpecOpRules.MinMemoryBytes + 1) } },
        { "vm.memoryBytes", "out-of-range", PowerOn() with { Vm = new VmDefinition(SpecOpRules.MaxMemoryBytes + 4096) } },
        { "vm.memoryBytes", "out-of-range", PowerOn() with { Vm = new VmDefinition(-4096) } },
        { "vm.writePagesPerSecond", "out-of-range", PowerOn() with { Vm = new VmDefinition(1 << 20, -1) } },
        { "vm.writePagesPerSecond", "out-of-range", PowerOn() with { Vm = new VmDefinition(1 << 20, double.NaN) } },
        { "vm.writePagesPerSecond", "out-of-range", PowerOn() with { Vm = new VmDefinition(1 << 20, double.PositiveInfinity) } },
        { "requestedBy", "too-long", Good with { RequestedBy = new string('x', 201) } },
    };

    public static TheoryData<string, string, SubmitSpecOp, OwnershipView, string[]> WrongInTheWorld => new()
    {
        { "vmId", "unknown-vm", Good, OwnershipDecider.Unknown(Vm), [] },
        { "vmId", "operation-open", Good, Running("a") with { OpenOperationId = Earlier }, [] },
        { "vmId", "not-running", Good, Running("a") with { OwnerHostId = null }, [] },
        { "vmId", "already-running", PowerOn(), Running("a"), [] },
        { "vm", "required", PowerOn() with { Vm = null }, OwnershipDecider.Unknown(Vm), [] },
        { "vm", "already-defined", PowerOn() with { Vm = new VmDefinition(1 << 20) }, Running("a") with { OwnerHostId = null }, [] },
        { "targets[1]", "unknown-host", Good, Running("a"), ["c"] },
        { "targets[1]", "target-is-source", Good, Running("c"), [] },
    };

    [Theory]
    [MemberData(nameof(WrongByItself))]
    [System.Diagnostics.CodeAnalysis.SuppressMessage("Usage", "xUnit1045", Justification = "The rows are told apart by field and code.")]
    public void a_request_that_is_wrong_by_itself_is_refused_with_its_field(string field, string code, SubmitSpecOp request) => Refuses(field, code, request, Running("a"), []);

    [Theory]
    [MemberData(nameof(WrongInTheWorld))]
    [System.Diagnostics.CodeAnalysis.SuppressMessage("Usage", "xUnit1045", Justification = "The rows are told apart by field and code.")]
    public void a_request_that_does_not_fit_the_world_is_refused_with_its_field(string field, string code, SubmitSpecOp request, OwnershipView vm, string[] unknown) =>
        Refuses(field, code, request, vm, unknown);

    [Fact]
    public void requests_at_the_limits_are_accepted()
    {
        SubmitSpecOp[] good =
        [
            Good with { VmId = new string('a', 63), Sq = 16, Targets = [.. Enumerable.Range(0, 64).Select(i => $"h{i}")] },
            Good with { Cost = new CostLimits(86_400), RequestedBy = new string('x', 200) },
            Good with { Manager = "retry-same-server", Sq = null, Targets = [.. Enumerable.Range(0, 64).Select(i => $"h{i}")] },
            PowerOn() with { Vm = new VmDefinition(SpecOpRules.MaxMemoryBytes, 1e9) },
            PowerOn() with { Vm = new VmDefinition(SpecOpRules.MinMemoryBytes) },
        ];
        Assert.All(good, request => Assert.Null(SpecOpRules.FirstError(request, TargetChoice.Names)));
    }

    [Fact]
    public void the_number_of_replicas_follows_the_targets_unless_it_is_said_or_the_manager_runs_one_at_a_time()
    {
        Assert.Equal([1, 2, 1, 1], new[] { Good with { Sq = null, Targets = null }, Good with { Sq = null }, Good with { Sq = 1 }, Good with { Sq = null, Manager = "retry-repick" } }.Select(SpecOpRules.SqOf));
    }

    [Fact]
    public void the_same_request_again_is_the_same_operation_whoever_repeats_it()
    {
        Scenario scenario = new();
        scenario.Do(Good);
        scenario.Do(Good with { RequestedBy = "another" });
        scenario.NothingHappened();
        Assert.Empty(scenario.Last.Effects);
        Assert.Null(scenario.Last.Conflict);
    }

    public static TheoryData<SubmitSpecOp> OtherBodies => [Good with { Sq = 1 }, Good with { VmId = "vm-2" }, Good with { Cost = new CostLimits(61) }, Good with { Cost = new CostLimits(double.NaN) }, Good with { Kind = (OperationKind)9 }];

    [Theory]
    [MemberData(nameof(OtherBodies))]
    [System.Diagnostics.CodeAnalysis.SuppressMessage("Usage", "xUnit1045", Justification = "The rows need no names.")]
    public void the_same_id_with_another_body_is_refused_and_the_operation_goes_on(SubmitSpecOp other)
    {
        Scenario scenario = new();
        scenario.Do(Good);
        SpecOpDecision decision = SpecOpDecider.Decide(scenario.State, other, new SpecOpFacts(scenario.View, []), Start);
        Assert.Equal(("operationId", "operation-id-reused"), (decision.Conflict?.Field, decision.Conflict?.Reason.Code));
        Assert.Empty(decision.Events);
        Assert.Equal(SpecOpPhase.Racing, scenario.State.Phase);
    }

    [Fact]
    public void a_request_that_was_refused_has_not_used_its_id_up()
    {
        Scenario scenario = new();
        scenario.Do(Good with { Sq = 99 });
        scenario.Do(Good);
        Assert.Equal((SpecOpPhase.Racing, null), (scenario.State.Phase, scenario.State.Refused));
        scenario.TheOne<SpecOpAccepted>();
    }

    private static void Refuses(string field, string code, SubmitSpecOp request, OwnershipView vm, string[] unknown)
    {
        SpecOpDecision decision = SpecOpDecider.Decide(new SpecOpState(request.OperationId), request, new SpecOpFacts(vm, unknown), Start);
        SpecOpRefused refused = Assert.IsType<SpecOpRefused>(Assert.Single(decision.Events));
        Assert.Equal((field, code), (refused.Field, refused.Reason.Code));
        Assert.Empty(decision.OwnershipEvents);
        Assert.Same(refused, Assert.Single(decision.Effects).Message);
    }
}
