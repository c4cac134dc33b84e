namespace SpecMesh.Simulator.Model;

/// <summary>
/// A set of servers by how large a machine they have room for, so that one with room is picked at once, each equally likely, however many have none. 8 bytes per server.
/// </summary>
public sealed class RoomIndex
{
    private const int None = -1;

    /// <summary>A server's class in the lower bits, its place among those of its class above them: one look into memory tells both.</summary>
    private const int ClassBits = 3;

    private readonly int[] stepUnits;
    private readonly int[][] members;
    private readonly int[] counts;
    private readonly int[] whereIs;

    /// <param name="servers">Servers of the cluster; none is in the set.</param>
    /// <param name="stepUnits">The sizes of machines, rising.</param>
    public RoomIndex(int servers, ReadOnlySpan<int> stepUnits)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(stepUnits.Length, 1 << ClassBits);
        this.stepUnits = stepUnits.ToArray();
        members = new int[stepUnits.Length + 1][];
        counts = new int[stepUnits.Length + 1];
        whereIs = new int[servers];
        Array.Fill(whereIs, None);
        for (int i = 0; i < members.Length; i++)
        {
            members[i] = new int[16];
        }
    }

    /// <summary>Whether a server is in the set.</summary>
    public bool Contains(int server) => whereIs[server] != None;

    /// <summary>Puts a server into the set.</summary>
    public void Add(int server, int freeUnits)
    {
        int room = ClassOf(freeUnits);
        if (counts[room] == members[room].Length)
        {
            Array.Resize(ref members[room], counts[room] * 2);
        }

        whereIs[server] = (counts[room] << ClassBits) | room;
        members[room][counts[room]++] = server;
    }

    /// <summary>Takes a server out.</summary>
    public void Remove(int server)
    {
        int where = whereIs[server], room = where & ((1 << ClassBits) - 1);
        int last = members[room][--counts[room]];
        members[room][where >> ClassBits] = last;
        whereIs[last] = where;
        whereIs[server] = None;
    }

    /// <summary>A server's free memory has changed; nothing happens when it is not in the set.</summary>
    public void Update(int server, int freeUnits)
    {
        int where = whereIs[server];
        if (where != None && (where & ((1 << ClassBits) - 1)) != ClassOf(freeUnits))
        {
            Remove(server);
            Add(server, freeUnits);
        }
    }

    /// <summary>How many servers have room for a machine of this size, which is one of the steps.</summary>
    public int Count(int units)
    {
        int count = 0;
        for (int room = ClassOf(units); room < counts.Length; room++)
        {
            count += counts[room];
        }

        return count;
    }

    /// <summary>The server at a place, from 0 to below <see cref="Count"/>, of those with room.</summary>
    public int At(int units, int place)
    {
        int room = ClassOf(units);
        while (place >= counts[room])
        {
            place -= counts[room++];
        }

        return members[room][place];
    }

    private int ClassOf(int units)
    {
        int room = 0;
        while (room < stepUnits.Length && units >= stepUnits[room])
        {
            room++;
        }

        return room;
    }
}
