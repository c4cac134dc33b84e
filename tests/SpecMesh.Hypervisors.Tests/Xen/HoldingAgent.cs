using SpecMesh.DataPath.Tests;
using SpecMesh.Hypervisors.Xen;

namespace SpecMesh.Hypervisors.Tests.Xen;

/// <summary>An agent that holds a complete image, says so, and lives until it is killed.</summary>
internal static class HoldingAgent
{
    public static int Run(string folder)
    {
        XenShell shell = new StandInHost(folder).NewShell(ScriptedReceiver.Tag);
        SimulatedGuest guest = new(SyntheticDomain.Layout.PageCount);
        guest.Populate(1);
        shell.Open(guest.PageCount, StandInHost.SetupBlob, CancellationToken.None).Write(0, guest.Bytes);
        shell.Complete(StandInHost.StateBlob, CancellationToken.None);
        Console.WriteLine("ready");
        Thread.CurrentThread.Join();
        GC.KeepAlive(shell);
        return 0;
    }
}
