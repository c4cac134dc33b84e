using SpecMesh.Contracts;
using SpecMesh.HostAgent;
using SpecMesh.Services.Tests.Hosting;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Services.Tests.HostAgent;

/// <summary>What an agent still knows after a crash.</summary>
public sealed class JournalTests : IDisposable
{
    private static readonly JournaledVote Vote = new(new("5f1d7e84-7a2b-4c3d-9e8f-000000000001"), 2, "h2", 3, 9, 1, "00000000000000aa");
    private readonly TemporaryFolder folder = new();

    private string FilePath => Path.Combine(folder.Path, "agent.journal");

    public void Dispose() => folder.Dispose();

    [Fact]
    public void votes_and_images_are_read_again_and_cleared_ones_are_not()
    {
        using (Journal journal = new(folder.Path))
        {
            journal.WriteVote("a", Vote);
            journal.WriteVote("b", Vote);
            journal.WriteImage(ImageOf(1));
            journal.WriteImage(ImageOf(2));
            journal.ClearVote("a", Vote.OperationId);
            journal.ClearImage(Vote.OperationId, 1);
        }

        using Journal again = new(folder.Path);
        Assert.Null(again.ReadVote("a"));
        Assert.Equal(Vote, again.ReadVote("b"));
        Assert.Null(again.ReadImage(Vote.OperationId, 1));
        Assert.Equal(ImageOf(2), again.ReadImage(Vote.OperationId, 2));
    }

    [Fact]
    public void the_file_is_empty_once_nothing_is_left()
    {
        using (Journal journal = new(folder.Path))
        {
            journal.WriteVote("a", Vote);
            journal.WriteImage(ImageOf(1));
            journal.ClearVote("a", Vote.OperationId);
            journal.ClearImage(Vote.OperationId, 1);
        }

        Assert.Equal(0, new FileInfo(FilePath).Length);
    }

    [Fact]
    public void another_operations_vote_is_not_cleared()
    {
        using Journal journal = new(folder.Path);
        journal.WriteVote("a", Vote);
        journal.ClearVote("a", Guid.NewGuid());
        Assert.Equal(Vote, journal.ReadVote("a"));
    }

    [Fact]
    public void a_torn_last_line_never_happened_at_any_length()
    {
        using (Journal journal = new(folder.Path))
        {
            journal.WriteVote("a", Vote);
            journal.WriteVote("b", Vote with { Replica = 5 });
        }

        byte[] whole = File.ReadAllBytes(FilePath);
        int first = Array.IndexOf(whole, (byte)'\n') + 1;
        for (int length = first; length < whole.Length; length++)
        {
            File.WriteAllBytes(FilePath, whole[..length]);
            using (Journal torn = new(folder.Path))
            {
                Assert.Equal(Vote, torn.ReadVote("a"));
                Assert.Null(torn.ReadVote("b"));
                torn.WriteVote("c", Vote);
            }

            using Journal again = new(folder.Path);
            Assert.Equal((Vote, null, Vote), (again.ReadVote("a"), again.ReadVote("b"), again.ReadVote("c")));
        }
    }

    [Theory]
    [InlineData("{\"key\":")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("[]")]
    public void a_damaged_middle_is_refused_with_the_files_name(string damage)
    {
        using (Journal journal = new(folder.Path))
        {
            journal.WriteVote("a", Vote);
        }

        File.WriteAllText(FilePath, damage + "\n" + File.ReadAllText(FilePath));
        InvalidDataException error = Assert.Throws<InvalidDataException>(() => new Journal(folder.Path));
        Assert.Contains(FilePath, error.Message, StringComparison.Ordinal);

        // What was refused holds no lock: an operator who has mended it starts the agent again.
        File.WriteAllText(FilePath, "");
        new Journal(folder.Path).Dispose();
    }

    [Fact]
    public void a_second_agent_is_refused()
    {
        using Journal journal = new(folder.Path);
        Assert.Throws<IOException>(() => new Journal(folder.Path));
    }

    [Fact]
    public void a_journal_that_never_empties_does_not_grow_without_end_and_stays_locked()
    {
        using (Journal journal = new(folder.Path))
        {
            journal.WriteVote("kept", Vote);
            long longest = 0;
            for (int i = 0; i < 20_000; i++)
            {
                journal.WriteImage(ImageOf(1) with { Incarnation = i });
                longest = Math.Max(longest, new FileInfo(FilePath).Length);
            }

            Assert.InRange(longest, Journal.CompactBytes, Journal.CompactBytes + 4096);
            Assert.Throws<IOException>(() => new Journal(folder.Path));
        }

        using Journal again = new(folder.Path);
        Assert.Equal(Vote, again.ReadVote("kept"));
        Assert.Equal(19_999, again.ReadImage(Vote.OperationId, 1)!.Incarnation);
    }

    [Fact]
    public void entries_about_guests_that_are_gone_are_forgotten()
    {
        using Journal journal = new(folder.Path);
        journal.WriteVote("here", Vote);
        journal.WriteVote("gone", Vote);
        journal.WriteImage(ImageOf(1));
        journal.WriteImage(ImageOf(2));
        journal.ForgetAllBut(new HashSet<string> { "here" }, new HashSet<(Guid, int)> { (Vote.OperationId, 2) });
        Assert.Equal((Vote, null), (journal.ReadVote("here"), journal.ReadVote("gone")));
        Assert.Null(journal.ReadImage(Vote.OperationId, 1));
        Assert.NotNull(journal.ReadImage(Vote.OperationId, 2));
    }

    private static JournaledImage ImageOf(int replica) =>
        new(new StartReplica(Vote.OperationId, replica, 3, OperationKind.Migrate, "a", "h1", "h0", new VmDefinition(1 << 20), 9, new CostLimits()), 1, "00000000000000bb");
}
