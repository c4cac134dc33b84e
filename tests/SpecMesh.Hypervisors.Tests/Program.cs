using SpecMesh.Contracts;
using SpecMesh.Hypervisors;
using SpecMesh.Hypervisors.Process;
using SpecMesh.Hypervisors.Tests;
using SpecMesh.Hypervisors.Tests.Xen;

// What tests start as a process of its own: an xl without a Xen, or an agent with an image or a guest; and the tests themselves, where there is no SDK.
if (args[0] == "xl")
{
    return StandInXl.Run(args[1], args[2..]);
}

if (args[0] == "run")
{
    return InProcessRunner.Run(typeof(InProcessRunner).Assembly, args[1..]);
}

if (args[0] == "hold")
{
    return HoldingAgent.Run(args[1]);
}

// It starts one guest, says so, and lives until it is killed.
ProcessHypervisor hypervisor = new(new ProcessHypervisorOptions(args[0]));
GuestSpec spec = new(new GuestTag(args[1], null, null, 1), new VmDefinition(1 << 20, 1000, 1));
IGuest guest = await hypervisor.BuildPausedAsync(spec, CancellationToken.None);
DurableCommit commit = DurableCommit.Of(new OwnershipView(args[1], 1, null, 1, "here", null, null, null), "here");
await guest.StartAsync(commit, CancellationToken.None);
Console.WriteLine("running");
await guest.Exited;
return 0;
