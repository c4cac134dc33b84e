namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>What strikes a process, and how it ends.</summary>
public static class FaultKinds
{
    /// <summary>Longer than a source waits for a commit (2 s) and than a silent host is trusted (3 s here).</summary>
    private static readonly TimeSpan Length = TimeSpan.FromSeconds(4);

    /// <summary>Strikes, lets everybody go on who waits, and ends the fault when it has lasted.</summary>
    /// <param name="system">Where.</param>
    /// <param name="fault">One of <see cref="Cell.Faults"/>.</param>
    /// <param name="processes">Whom it strikes.</param>
    /// <param name="carriesData">True when its part has it connect to others' data endpoints.</param>
    /// <param name="goOn">Releases whoever waits at the step.</param>
    public static async Task StrikeAsync(CrashSystem system, string fault, IReadOnlyList<string> processes, bool carriesData, Action goOn)
    {
        switch (fault)
        {
            case "killed":
                Each(system.Victims.Kill);
                goOn();
                break;
            case "frozen":
                Each(system.Victims.Freeze);
                goOn();
                await Until.PassedAsync(Length);
                Each(system.Victims.Thaw);
                break;
            case "cut-off":
                IReadOnlyList<Link> links = [.. system.Links.All.Where(link => Strikes(link.From) || Strikes(link.To) || (carriesData && link.From is null))];
                foreach (Link link in links)
                {
                    link.FallSilent();
                }

                goOn();
                await Until.PassedAsync(Length);
                system.Links.HealAll();
                break;
            default:
                throw new ArgumentException($"{fault} is no fault.", nameof(fault));
        }

        bool Strikes(string? process) => process is not null && processes.Contains(process);

        void Each(Action<string> strike)
        {
            foreach (string process in processes)
            {
                strike(process);
            }
        }
    }
}
