using SpecMesh.Simulator.Engine;

namespace SpecMesh.Simulator.Model;

/// <summary>Picks different servers, each set equally likely. The first ones do not depend on how many are picked, so that policies with more replicas keep the targets of those with fewer.</summary>
public static class TargetPicker
{
    /// <summary>Picks servers of the whole cluster.</summary>
    /// <param name="random">Numbers for this purpose.</param>
    /// <param name="entity">Whom the targets are for.</param>
    /// <param name="draw">Number of the try.</param>
    /// <param name="servers">Servers of the cluster.</param>
    /// <param name="picked">Receives as many as it is long, at most all servers.</param>
    public static void PickAny(in RandomStream random, uint entity, uint draw, int servers, Span<int> picked)
    {
        uint part = 0;
        for (int found = 0; found < picked.Length;)
        {
            int server = random.Below(servers, entity, draw, part++);
            if (!picked[..found].Contains(server))
            {
                picked[found++] = server;
            }
        }
    }
}
