using SpecMesh.Contracts;
using SpecMesh.Protocol.Tests.Hosts;
using SpecMesh.Speculation;

namespace SpecMesh.Protocol.Tests.Running;

/// <summary>
/// Somebody who looks after the hosts. A host that stays silent is made sure to be off and confirmed dead, as the confirmation asks for; one that is back and empty is vouched
/// for; one that was confirmed dead and is repaired is put into service again. Nobody here ever confirms a host that lives.
/// </summary>
internal sealed class Operator(Cluster cluster, Prng random)
{
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(5);

    private readonly Dictionary<SimulatedHost, TimeSpan> repairs = [];

    /// <summary>Looks now and then, until the schedule ends.</summary>
    public void Begin() => cluster.Scheduler.After(Look, () =>
    {
        foreach (SimulatedHost host in cluster.Hosts)
        {
            See(host);
        }

        Begin();
    });

    private void See(SimulatedHost host)
    {
        bool isFenced = cluster.Truth.IsFenced(host.Id);
        if (host.LostAt is { } lost && !isFenced)
        {
            TimeSpan patience = cluster.Scheduler.Now > cluster.Faults.End ? TimeSpan.FromSeconds(45) : TimeSpan.FromSeconds(12);
            if (cluster.Scheduler.Now - lost > patience)
            {
                host.IsLockedOff = true;
                Tell(new FenceHost(host.Id, "operator"));
            }
        }
        else if (host.LostAt is not null)
        {
            Repair(host);
        }
        else if (isFenced)
        {
            Tell(new SetHostMaintenance(host.Id, false, "operator"));
        }
        else if (host.CameBackEmpty && cluster.Truth.Views.Any(view => view.OwnerHostId == host.Id && !host.Guests.Exists(guest => guest.VmId == view.VmId)))
        {
            cluster.Broker.Accept(new ReconcileHost(host.Id, NothingUnknown: true), host.Queue, cluster.NextMessageId());
        }
    }

    /// <summary>Half of the dead hosts are repaired some time later; the others never are.</summary>
    private void Repair(SimulatedHost host)
    {
        if (!repairs.TryGetValue(host, out TimeSpan at))
        {
            bool isRepaired = random.NextInt(2) == 0;
            repairs[host] = at = isRepaired ? cluster.Scheduler.Now + TimeSpan.FromSeconds(random.Uniform(0, 60)) : TimeSpan.MaxValue;
        }

        if (cluster.Scheduler.Now >= at)
        {
            repairs.Remove(host);
            host.IsLockedOff = false;
            host.ComeBack();
        }
    }

    private void Tell(object message) => cluster.Broker.Accept(message, null, cluster.NextMessageId());
}
