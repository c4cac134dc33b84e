using System.Diagnostics;
using SpecMesh.Cli.Demo;

namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>Runs one case: a migration up to a step, a fault there, and then what must hold.</summary>
public sealed class CrashCase(CrashSystem system, string name)
{
    /// <summary>Runs a cell of the matrix.</summary>
    public static Task RunAsync(CrashSystem system, Cell cell)
    {
        Move move = new(system, cell.Rotation);
        return new CrashCase(system, cell.ToString()).RunAsync(
            move, cell.Step, goOn => FaultKinds.StrikeAsync(system, cell.Fault, move.ProcessesOf(cell.Process), cell.Process == "source", goOn));
    }

    /// <summary>Runs a migration up to a step, and strikes.</summary>
    /// <param name="move">The migration.</param>
    /// <param name="step">Where its holder waits.</param>
    /// <param name="strike">Strikes, and calls back when the holder is to go on; returns when the fault is over.</param>
    public async Task RunAsync(Move move, string step, Func<Action, Task> strike)
    {
        Stopwatch took = Stopwatch.StartNew();
        try
        {
            await system.WholeAsync();
            await move.PowerOnAsync();
            string holder = move.ProcessOf(Cell.HolderOf(step));
            system.Points.Arm(holder, step);
            Task<Guid> submitted = move.SubmitAsync();
            await system.Points.ReachedAsync(holder, step);
            await strike(() => system.Points.Release(holder, step));
            string result = await new Oracle(system, move.VmId, await submitted).CheckAsync();
            system.Results.Add(name, result, took.Elapsed);
        }
        catch (Exception error)
        {
            system.Results.Add(name, "FAILED: " + error.Message.ReplaceLineEndings(" "), took.Elapsed);
            await Until.TrueAsync(async () =>
            {
                await BrokerFaults.EmptyAsync(system.Bus, Oracle.Aside);
                return null;
            });
            throw;
        }
        finally
        {
            await CleanUpAsync(move);
            await system.TellAsync(move.VmId, name);
        }
    }

    /// <summary>Ends every fault, and the machine: the next case finds the system whole, whatever became of this one.</summary>
    private async Task CleanUpAsync(Move move)
    {
        system.Points.Clear();
        CommitWatch.DisarmAll();
        system.Victims.ThawAll();
        system.Links.HealAll();
        foreach (string left in HostInspection.Processes(move.VmId))
        {
            string pid = left.Split(' ', ':')[1];
            using Process guest = Process.GetProcessById(int.Parse(pid, System.Globalization.CultureInfo.InvariantCulture));
            guest.Kill();
        }

        await Until.TrueAsync(() => HostInspection.Processes(move.VmId) is { Count: > 0 } left ? string.Join("; ", left) : null);
    }
}
