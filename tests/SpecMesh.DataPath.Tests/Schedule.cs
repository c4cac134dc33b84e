namespace SpecMesh.DataPath.Tests;

/// <summary>Drives a <see cref="FanOut"/> through one random, seeded order of steps, and looks for a page that a complete target does not have.</summary>
internal sealed class Schedule
{
    private const int Steps = 150;
    private const int MostReplicas = 3;

    private readonly Random random;
    private readonly FanOut fanOut;
    private bool believedSuspended;

    private Schedule(FanOut fanOut, int seed)
    {
        this.fanOut = fanOut;
        random = new Random(seed);
        fanOut.Interleave = () => fanOut.GuestWrites(random.Next(FanOut.Pages));
    }

    /// <summary>Runs one schedule.</summary>
    /// <param name="fanOut">A new one.</param>
    /// <param name="seed">Replays the same schedule.</param>
    /// <param name="everyStep">Called after each step.</param>
    /// <returns>What was lost; null when nothing was.</returns>
    public static string? FindLostPage(FanOut fanOut, int seed, Action<FanOut>? everyStep = null)
    {
        Schedule schedule = new(fanOut, seed);
        fanOut.Join();
        for (int step = 0; step < Steps; step++)
        {
            schedule.Step();
            everyStep?.Invoke(fanOut);
            if (schedule.LostPage() is { } lost)
            {
                return $"seed {seed}, step {step}: {lost}";
            }
        }

        return null;
    }

    private void Step()
    {
        ModelReplica? replica = fanOut.Replicas.Count > 0 ? fanOut.Replicas[random.Next(fanOut.Replicas.Count)] : null;
        switch (random.Next(100))
        {
            case < 15:
                fanOut.GuestWrites(random.Next(FanOut.Pages));
                break;
            case < 20:
                JoinOrLeave(replica);
                break;
            case < 23:
                SuspendOrResume();
                break;
            case < 28 when believedSuspended && !fanOut.FinalHarvestMade && replica is not null:
                fanOut.FinalHarvest(replica);
                break;
            case < 32:
                fanOut.Settle();
                break;
            case < 34 when replica is { InRound: true }:
                fanOut.BreakRound(replica);
                break;
            default:
                Advance(replica);
                break;
        }
    }

    private void JoinOrLeave(ModelReplica? replica)
    {
        if (replica is null || (fanOut.Replicas.Count < MostReplicas && random.Next(3) > 0))
        {
            fanOut.Join();
        }
        else
        {
            fanOut.Leave(replica);
        }
    }

    private void SuspendOrResume()
    {
        // Long pauses let replicas complete; short ones make incarnations.
        if (!believedSuspended)
        {
            fanOut.Suspend();
            believedSuspended = true;
        }
        else if (random.Next(2) == 0)
        {
            fanOut.Resume();
            believedSuspended = false;
        }
    }

    private void Advance(ModelReplica? replica)
    {
        if (replica is null)
        {
            return;
        }

        if (replica.InRound)
        {
            fanOut.CopyNext(replica);
        }
        else if (believedSuspended && fanOut.FinalHarvestMade && replica.Owner.IsFinal(fanOut.Incarnation))
        {
            fanOut.BeginLastRound(replica);
        }
        else
        {
            fanOut.BeginRound(replica);
        }
    }

    private string? LostPage()
    {
        foreach (ModelReplica replica in fanOut.Replicas.Where(replica => !replica.InRound && fanOut.IsComplete(replica)))
        {
            // The target would be allowed to run now. A guest that does not really stand still writes on before that.
            fanOut.GuestWrites(random.Next(FanOut.Pages));
            fanOut.Completions++;
            for (int page = 0; page < FanOut.Pages; page++)
            {
                if (replica.Copied[page] != fanOut.Memory[page])
                {
                    return $"a complete target has version {replica.Copied[page]} of page {page}, and the guest wrote version {fanOut.Memory[page]}";
                }
            }
        }

        return null;
    }
}
