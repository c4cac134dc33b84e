namespace SpecMesh.Simulator.Model;

/// <summary>The replicas of all open operations, linked by operation and by the server that they work on. Places are used again.</summary>
internal sealed class ReplicaTable
{
    private readonly int[] firstOnServer;
    private Replica[] replicas = new Replica[1024];
    private int free = -1;
    private int used;

    public ReplicaTable(int servers)
    {
        firstOnServer = new int[servers];
        Array.Fill(firstOnServer, -1);
    }

    public ref Replica At(int replica) => ref replicas[replica];

    public int FirstOnServer(int server) => firstOnServer[server];

    /// <summary>A replica of an operation starts; one that a server refuses is not among those that work there.</summary>
    public int Add(int operation, ref Operation of, int server, ReplicaPhase phase, long nowNs)
    {
        int place = free;
        if (place >= 0)
        {
            free = replicas[place].NextOfOperation;
        }
        else
        {
            place = used++;
            if (place == replicas.Length)
            {
                Array.Resize(ref replicas, place * 2);
            }
        }

        replicas[place] = new Replica { Operation = operation, Server = server, Number = of.Started, Phase = phase, NextOfOperation = of.FirstReplica, StartNs = nowNs };
        of.FirstReplica = place;
        of.Started++;
        of.Live++;
        if (phase != ReplicaPhase.Refused)
        {
            LinkToServer(place);
        }

        return place;
    }

    /// <summary>A replica is gone; its place is free.</summary>
    public void Remove(int replica, ref Operation of)
    {
        ref Replica gone = ref replicas[replica];
        if (gone.Phase != ReplicaPhase.Refused)
        {
            UnlinkFromServer(ref gone);
        }

        if (of.FirstReplica == replica)
        {
            of.FirstReplica = gone.NextOfOperation;
        }
        else
        {
            int before = of.FirstReplica;
            while (replicas[before].NextOfOperation != replica)
            {
                before = replicas[before].NextOfOperation;
            }

            replicas[before].NextOfOperation = gone.NextOfOperation;
        }

        of.Live--;
        gone.Phase = ReplicaPhase.None;
        gone.NextOfOperation = free;
        free = replica;
    }

    private void LinkToServer(int replica)
    {
        ref Replica linked = ref replicas[replica];
        int first = firstOnServer[linked.Server];
        linked.NextOnServer = first;
        linked.PreviousOnServer = -1;
        if (first >= 0)
        {
            replicas[first].PreviousOnServer = replica;
        }

        firstOnServer[linked.Server] = replica;
    }

    private void UnlinkFromServer(ref Replica gone)
    {
        if (gone.PreviousOnServer >= 0)
        {
            replicas[gone.PreviousOnServer].NextOnServer = gone.NextOnServer;
        }
        else
        {
            firstOnServer[gone.Server] = gone.NextOnServer;
        }

        if (gone.NextOnServer >= 0)
        {
            replicas[gone.NextOnServer].PreviousOnServer = gone.PreviousOnServer;
        }
    }
}
