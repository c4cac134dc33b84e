using SpecMesh.Contracts;
using SpecMesh.Protocol.Tests.Engine;
using SpecMesh.Protocol.Tests.Network;

namespace SpecMesh.Protocol.Tests.Hosts;

/// <summary>One host: what survives its agent, and the agent that runs now.</summary>
internal sealed class SimulatedHost(Cluster cluster, Node node, string id, string failureDomain, long memoryBytes) : IConsumer
{
    public Cluster Cluster { get; } = cluster;

    public Node Node { get; } = node;

    public string Id { get; } = id;

    public string FailureDomain { get; } = failureDomain;

    public long MemoryBytes { get; } = memoryBytes;

    public List<Guest> Guests { get; } = [];

    public AgentJournal Journal { get; } = new();

    /// <summary>The queue of its agent's commands.</summary>
    public string Queue { get; } = HostQueue.Of(id);

    public bool Takes => Agent is { Takes: true };

    public HashSet<BusMessage> Unacknowledged { get; } = [];

    /// <summary>The agent; null while none runs.</summary>
    public Agent? Agent { get; private set; }

    /// <summary>When the host was lost; null while it is there.</summary>
    public TimeSpan? LostAt { get; private set; }

    /// <summary>True while somebody sees to it that a lost host stays off.</summary>
    public bool IsLockedOff { get; set; }

    /// <summary>True once it has come back after a loss: what its agent does not find, it does not know.</summary>
    public bool CameBackEmpty { get; private set; }

    public void Handle(BusMessage message) => Agent!.Handle(message);

    /// <summary>Agent, guests, shells and journal are gone.</summary>
    public void Lose()
    {
        Cluster.Trace?.Note($"{Id} is lost with {Guests.Count} guests");
        LostAt = Cluster.Scheduler.Now;
        Agent?.Crash();
        Cluster.Truth.Losing(this);
        foreach (Guest guest in Guests.ToList())
        {
            guest.Become(null);
        }

        Journal.Lose();
    }

    /// <summary>It is back, and empty.</summary>
    public void ComeBack()
    {
        if (LostAt is not null && !IsLockedOff)
        {
            Cluster.Trace?.Note($"{Id} is back, and empty");
            (LostAt, CameBackEmpty) = (null, true);
            StartAgent();
        }
    }

    public void StartAgent()
    {
        if (Agent is null && LostAt is null)
        {
            Cluster.Trace?.Note($"{Id}: the agent starts");
            Agent = new Agent(this);
            Agent.Start();
        }
    }

    /// <summary>A paused guest for a replica: with the machine's first state, or empty.</summary>
    public Guest Build(string vmId, Guid operationId, int replica, int epoch, bool powerOn)
    {
        Guest guest = new(this, vmId, operationId, replica, epoch, Cluster.PageCount) { PoweredOn = powerOn };
        for (int page = 0; powerOn && page < guest.Pages.Length; page++)
        {
            guest.Pages[page] = Cluster.GuestRandom.NextUInt64();
        }

        Guests.Add(guest);
        return guest;
    }

    /// <summary>The agent is gone, in whatever way it went.</summary>
    public void AgentGone() => Agent = null;
}
