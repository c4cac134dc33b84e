using SpecMesh.Hosting;

namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>A point that nobody reaches would make its cells prove nothing.</summary>
[Collection(CrashSystemCollection.Name)]
[Trait("Matrix", "always")]
public sealed class FaultPointTests(CrashSystem system)
{
    [OwnServersFact]
    public async Task an_ordinary_migration_reaches_every_named_point_and_leaves_no_queue_with_a_message()
    {
        Move move = new(system, 0);
        await system.WholeAsync();
        await move.PowerOnAsync();
        Dictionary<string, string> waiting = FaultPoints.Names.ToDictionary(point => $"{move.ProcessOf(Cell.HolderOf(point))}.{point}", point => point);
        foreach ((string armed, string point) in waiting)
        {
            system.Points.Arm(armed[..^(point.Length + 1)], point);
        }

        Task<Guid> submitted = move.SubmitAsync();
        await Until.TrueAsync(() =>
        {
            foreach (string reached in system.Points.Reached)
            {
                system.Points.Release(reached[..^(waiting[reached].Length + 1)], waiting[reached]);
                waiting.Remove(reached);
            }

            return waiting.Count == 0 ? null : $"not reached: {string.Join(", ", waiting.Keys)}";
        });
        await new Oracle(system, move.VmId, await submitted).CheckAsync();

        // Heartbeats come and go, so one look may find some.
        await Until.TrueAsync(async () => await BrokerFaults.HoldingAsync(system) is { Count: > 0 } held ? string.Join("; ", held) : null);
    }
}
