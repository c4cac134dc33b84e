namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>The broker and the database, at several steps of a migration, die, restart, lose what they hold, or refuse to work for a while.</summary>
[Collection(CrashSystemCollection.Name)]
public sealed class ServerFaultTests(CrashSystem system)
{
    private const string DiskFull = "database disk full";

    public static TheoryData<ServerFault> Always => [.. ServerFault.All().Where(cell => cell.IsAlwaysRun && cell.Fault != DiskFull)];

    public static TheoryData<ServerFault> Rest => [.. ServerFault.All().Where(cell => !cell.IsAlwaysRun && cell.Fault != DiskFull)];

    public static TheoryData<ServerFault> AlwaysOfDiskFull => [.. ServerFault.All().Where(cell => cell.IsAlwaysRun && cell.Fault == DiskFull)];

    public static TheoryData<ServerFault> RestOfDiskFull => [.. ServerFault.All().Where(cell => !cell.IsAlwaysRun && cell.Fault == DiskFull)];

    [OwnServersTheory]
    [Trait("Matrix", "always")]
    [MemberData(nameof(Always))]
    public Task one_guest_survives_although_the(ServerFault cell) => RunAsync(cell);

    [OwnServersTheory]
    [Trait("Matrix", "rest")]
    [MemberData(nameof(Rest))]
    public Task one_guest_survives_also_although_the(ServerFault cell) => RunAsync(cell);

    [OwnDiskTheory]
    [Trait("Matrix", "always")]
    [MemberData(nameof(AlwaysOfDiskFull))]
    public Task one_guest_survives_although_there_is_no_space_for_the(ServerFault cell) => RunAsync(cell);

    [OwnDiskTheory]
    [Trait("Matrix", "rest")]
    [MemberData(nameof(RestOfDiskFull))]
    public Task one_guest_survives_also_although_there_is_no_space_for_the(ServerFault cell) => RunAsync(cell);

    private Task RunAsync(ServerFault cell)
    {
        Move move = new(system, cell.Rotation);
        return new CrashCase(system, cell.ToString()).RunAsync(move, cell.Step, goOn => StrikeAsync(cell.Fault, move, goOn));
    }

    private Task StrikeAsync(string fault, Move move, Action goOn) => fault switch
    {
        "broker killed" => BrokerFaults.KillAsync(system, goOn),
        "broker restarted" => BrokerFaults.RestartAsync(system, goOn),
        "broker resets connections" => BrokerFaults.ResetConnectionsAsync(system, goOn),
        "broker loses the services' queue" => BrokerFaults.LoseQueueAsync(system, "replication-policy", goOn),
        "broker loses the winner's queue" => BrokerFaults.LoseQueueAsync(system, Contracts.HostQueue.Of(move.Winner), goOn),
        "broker loses placement's queue" => BrokerFaults.LoseQueueAsync(system, "placement", goOn),
        "broker out of memory" => BrokerFaults.RunOutOfMemoryAsync(system, goOn),
        "database killed" => DatabaseFaults.KillAsync(system, goOn),
        "database restarted" => DatabaseFaults.RestartAsync(system, goOn),
        "database breaks connections" => DatabaseFaults.BreakConnectionsAsync(system, goOn),
        "database read-only" => DatabaseFaults.RefuseWritesAsync(system, goOn),
        DiskFull => DatabaseFaults.FillDiskAsync(system, goOn),
        "policy's commit unanswered" => DatabaseFaults.LoseAnswerAsync("replication-policy", goOn),
        "placement's commit unanswered" => DatabaseFaults.LoseAnswerAsync("placement", goOn),
        _ => throw new ArgumentException($"{fault} is no fault.", nameof(fault)),
    };
}
