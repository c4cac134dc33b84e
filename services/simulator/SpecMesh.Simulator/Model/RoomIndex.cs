namespace SpecMesh.Simulator.Model;

/// <summary>
/// A set of servers by how large a machine they have room for, so that one with room is picked at once, each equally likely, however many have none. 9 bytes per server.
/// </summary>
public sealed class RoomIndex
{
    private readonly int[] stepUnits;
    private readonly int[][] members;
    private readonly int[] counts;
    private readonly int[] placeOf;
    private readonly sbyte[] classOf;

    /// <param name="servers">Servers of the cluster; none is in the set.</param>
    /// <param name="stepUnits">The sizes of machines, rising.</param>
    public RoomIndex(int servers, ReadOnlySpan<int> stepUnits)
    {
        this.stepUnits = stepUnits.ToArray();
        members = new int[stepUnits.Length + 1][];
        counts = new int[stepUnits.Length + 1];
        placeOf = new int[servers];
        classOf = new sbyte[servers];
        Array.Fill(classOf, (sbyte)-1);
        for (int i = 0; i < members.Length; i++)
        {
            members[i] = new int[16];
        }
    }

    /// <summary>Whether a server is in the set.</summary>
    public bool Contains(int server) => classOf[server] >= 0;

    /// <summary>Puts a server into the set.</summary>
    public void Add(int server, int freeUnits)
    {
        int room = ClassOf(freeUnits);
        if (counts[room] == members[room].Length)
        {
            Array.Resize(ref members[room], counts[room] * 2);
        }

        classOf[server] = (sbyte)room;
        placeOf[server] = counts[room];
        members[room][counts[room]++] = server;
    }

    /// <summary>Takes a server out.</summary>
    public void Remove(int server)
    {
        int room = classOf[server];
        int last = members[room][--counts[room]];
        members[room][placeOf[server]] = last;
        placeOf[last] = placeOf[server];
        classOf[server] = -1;
    }

    /// <summary>A server's free memory has changed; nothing happens when it is not in the set.</summary>
    public void Update(int server, int freeUnits)
    {
        if (classOf[server] >= 0 && classOf[server] != ClassOf(freeUnits))
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
