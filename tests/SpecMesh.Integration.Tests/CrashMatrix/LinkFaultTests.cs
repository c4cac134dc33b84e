namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>One connection fails where it decides something: a vote, an append or its answer is lost, in one direction only or for good.</summary>
[Collection(CrashSystemCollection.Name)]
public sealed class LinkFaultTests(CrashSystem system)
{
    private static readonly TimeSpan Length = TimeSpan.FromSeconds(4);

    public static TheoryData<LinkFault> Third => [.. LinkFault.All().Where(cell => cell.IsInTheThird)];

    public static TheoryData<LinkFault> Rest => [.. LinkFault.All().Where(cell => !cell.IsInTheThird)];

    [OwnServersTheory]
    [Trait("Matrix", "always")]
    [MemberData(nameof(Third))]
    public Task one_guest_survives_although_the_connection_from(LinkFault cell) => RunAsync(cell);

    [OwnServersTheory]
    [Trait("Matrix", "rest")]
    [MemberData(nameof(Rest))]
    public Task one_guest_survives_also_although_the_connection_from(LinkFault cell) => RunAsync(cell);

    private Task RunAsync(LinkFault cell)
    {
        Move move = new(system, cell.Rotation);
        Link link = cell.Link switch
        {
            "source to policy" => system.Links.All.Single(link => link.From == move.Source && link.To == "replication-policy"),
            "winner to policy" => system.Links.All.Single(link => link.From == move.Winner && link.To == "replication-policy"),
            _ => system.Links.All.Single(link => link.From is null && link.To == move.Winner),
        };
        return new CrashCase(system, cell.ToString()).RunAsync(move, cell.Step, goOn => StrikeAsync(link, cell.Fault, goOn));
    }

    private static async Task StrikeAsync(Link link, string fault, Action goOn)
    {
        if (fault == "is reset")
        {
            link.Reset();
            goOn();
            return;
        }

        (fault == "loses requests" ? link.Up : link.Down).Close();
        goOn();
        await Until.PassedAsync(Length);
        link.Heal();
    }
}
