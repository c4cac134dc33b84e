using SpecMesh.Contracts;
using SpecMesh.Speculation.Diagnosis;

namespace SpecMesh.Speculation.Tests.Diagnosis;

/// <summary>What the doctor finds, each beside a neighbour that is as recorded.</summary>
public sealed class DoctorTests
{
    private static readonly Guid Operation = new("11111111-2222-3333-4444-555555555555");
    private static readonly DateTimeOffset Now = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly VmView Neighbour = Vm("vm-2", "b");

    [Fact]
    public void a_system_that_is_as_recorded_has_no_findings() =>
        Assert.Empty(Examine([Host("a", Guest("vm-1")), Host("b", Guest("vm-2"))], [Vm("vm-1", "a"), Neighbour]));

    [Fact]
    public void a_guest_that_nobody_owns_or_that_another_host_owns_is_found()
    {
        Finding unknown = Assert.Single(Examine([Host("a", Guest("vm-9")), Host("b", Guest("vm-2"))], [Neighbour]));
        Assert.Equal(("guest-unknown", "a", "vm-9", Remedy.Person), (unknown.Code, unknown.HostId, unknown.VmId, unknown.Remedy));
        Finding doubled = Assert.Single(Examine([Host("a", Guest("vm-2")), Host("b", Guest("vm-2"))], [Neighbour]));
        Assert.Equal(("guest-not-owned", "a", Remedy.ReconcileHost), (doubled.Code, doubled.HostId, doubled.Remedy));
    }

    [Fact]
    public void a_guest_in_an_open_operation_is_no_finding() =>
        Assert.Empty(Examine([Host("a", Guest("vm-2")), Host("b", Guest("vm-2"))], [Neighbour with { OpenOperationId = Operation }]));

    [Fact]
    public void an_owner_without_a_guest_is_found_and_a_silent_one_is_unknown()
    {
        Finding without = Assert.Single(Examine([Host("a"), Host("b", Guest("vm-2"))], [Vm("vm-1", "a"), Neighbour]));
        Assert.Equal(("owner-without-guest", "a", "vm-1", Remedy.ReconcileHost), (without.Code, without.HostId, without.VmId, without.Remedy));
        Finding silent = Assert.Single(Examine([Host("a") with { SecondsSinceBeat = 40 }, Host("b", Guest("vm-2"))], [Vm("vm-1", "a"), Neighbour]));
        Assert.Equal(("machine-unknown", Remedy.FenceHost), (silent.Code, silent.Remedy));
    }

    [Fact]
    public void a_shell_or_a_lease_of_an_operation_that_is_over_is_found()
    {
        OperationView settled = View("Settled"), racing = View("Racing");
        HostView host = Host("b", Guest("vm-2"), new HostedGuest("vm-1", GuestState.Paused, 4096, Operation, 0)) with { Reservations = [Operation] };
        Assert.Equal(["lease-without-operation", "shell-without-operation"], Codes(Examine([Host("a", Guest("vm-1")), host], [Vm("vm-1", "a"), Neighbour], settled)));
        Assert.Empty(Examine([Host("a", Guest("vm-1")), host], [Vm("vm-1", "a") with { OpenOperationId = Operation }, Neighbour], racing));
    }

    [Fact]
    public void an_operation_that_is_past_its_deadline_names_the_hosts_that_it_waits_for()
    {
        OperationView late = View("Completed") with { DeadlineAt = Now.AddSeconds(-1) };
        Finding waits = Assert.Single(Examine([Host("b", Guest("vm-2"))], [Neighbour], late));
        Assert.Equal(("operation-not-settled", "c", Remedy.FenceHost), (waits.Code, waits.HostId, waits.Remedy));
        Assert.Empty(Examine([Host("b", Guest("vm-2"))], [Neighbour], late with { DeadlineAt = Now.AddSeconds(1) }));
    }

    [Fact]
    public void only_what_two_looks_show_is_a_finding()
    {
        Finding first = new("guest-not-owned", "a", "vm-1", null, "before", Remedy.ReconcileHost), second = first with { Detail = "after" };
        Assert.Equal([second], Doctor.InBoth([first], [second, second with { VmId = "vm-2" }]));
    }

    private static IReadOnlyList<Finding> Examine(HostView[] hosts, VmView[] vms, params OperationView[] operations) => Doctor.Examine(new Look(hosts, vms, operations), Now);

    private static IEnumerable<string> Codes(IReadOnlyList<Finding> findings) => findings.Select(finding => finding.Code).Order(StringComparer.Ordinal);

    private static HostedGuest Guest(string vmId) => new(vmId, GuestState.Running, 4096, null, null);

    private static VmView Vm(string vmId, string owner) => new(vmId, new VmDefinition(4096), owner, 1, null, MachineState.Running);

    private static HostView Host(string hostId, params HostedGuest[] guests) => new(hostId, hostId, 1, 0, 0, 1, false, null, 0.5, null, null, null, guests, []);

    private static OperationView View(string phase) => new(
        Operation, OperationKind.Migrate, "vm-1", phase, null, null, null, "a", null, null, 1, null, null, Now.AddHours(1), 1.5, 0,
        [new ReplicaView(0, "c", "Ended", ReplicaOutcome.Failed, null, Cleaned: false, ReplicaCounters.None)]);
}
