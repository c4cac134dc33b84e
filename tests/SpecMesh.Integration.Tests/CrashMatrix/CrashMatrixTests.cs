namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>
/// Every service and every agent, at every step of a migration, is killed, frozen and cut off. Whatever the outcome: it comes, exactly one guest runs with its memory intact, and
/// nothing of the operation is left. The third of the cells that <see cref="Cell.IsInTheThird"/> chooses runs always, the rest with <c>tests/run crash-matrix</c>.
/// </summary>
[Collection(CrashSystemCollection.Name)]
public sealed class CrashMatrixTests(CrashSystem system)
{
    public static TheoryData<Cell> Third => [.. Cell.All().Where(cell => cell.IsInTheThird)];

    public static TheoryData<Cell> Rest => [.. Cell.All().Where(cell => !cell.IsInTheThird)];

    [OwnServersTheory]
    [Trait("Matrix", "always")]
    [MemberData(nameof(Third))]
    public Task one_guest_survives(Cell cell) => CrashCase.RunAsync(system, cell);

    [OwnServersTheory]
    [Trait("Matrix", "rest")]
    [MemberData(nameof(Rest))]
    public Task one_guest_survives_also(Cell cell) => CrashCase.RunAsync(system, cell);
}
