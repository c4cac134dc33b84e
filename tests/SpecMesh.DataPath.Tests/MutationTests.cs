namespace SpecMesh.DataPath.Tests;

/// <summary>
/// Ten ways to break the algorithm, each of which loses a page, and a search over seeded schedules that finds the loss. A mutant is the real <see cref="DirtyLogOwner"/>
/// with one step around it done wrongly, so that the search and the unmutated algorithm run the same code.
/// </summary>
public sealed class MutationTests
{
    private const int SeedsToCatchAMutant = 2_000;
    private const int SeedsWithoutALoss = 10_000;

    [Fact]
    public void the_algorithm_loses_no_page_in_any_schedule()
    {
        long completions = 0;
        for (int seed = 0; seed < SeedsWithoutALoss; seed++)
        {
            FanOut fanOut = new();
            Assert.Null(Schedule.FindLostPage(fanOut, seed));
            completions += fanOut.Completions;
        }

        Assert.True(completions > SeedsWithoutALoss, "The schedules hardly ever complete an image: they show nothing.");
    }

    [Fact]
    public void or_into_the_own_replica_only_is_caught() => MustBeCaught(() => new OrIntoOwnReplicaOnly());

    [Fact]
    public void or_one_by_one_while_another_tests_is_caught() => MustBeCaught(() => new OrOneByOne(atOnce: false));

    [Fact]
    public void reading_the_page_before_clearing_its_bit_is_caught() => MustBeCaught(() => new ReadThenClear());

    [Fact]
    public void peeking_and_then_cleaning_is_caught() => MustBeCaught(() => new PeekThenClean());

    [Fact]
    public void a_final_harvest_for_the_candidate_only_is_caught() => MustBeCaught(() => new FinalHarvestToCandidateOnly());

    [Fact]
    public void no_final_harvest_is_caught() => MustBeCaught(() => new NoFinalHarvest());

    [Fact]
    public void completing_without_a_pause_is_caught() => MustBeCaught(() => new CompleteWithoutPause());

    [Fact]
    public void a_loser_that_stops_the_log_is_caught() => MustBeCaught(() => new LoserStopsTheLog());

    [Fact]
    public void a_joiner_that_restarts_the_log_is_caught() => MustBeCaught(() => new JoinerRestartsTheLog());

    [Fact]
    public void a_final_mark_that_survives_a_resume_is_caught() => MustBeCaught(() => new FinalMarkSurvivesResume());

    [Fact]
    public void the_frame_of_the_first_two_mutants_loses_nothing_when_a_harvest_reaches_all_at_once()
    {
        for (int seed = 0; seed < SeedsToCatchAMutant; seed++)
        {
            Assert.Null(Schedule.FindLostPage(new OrOneByOne(atOnce: true), seed));
        }
    }

    private static void MustBeCaught(Func<FanOut> mutant)
    {
        string? found = Enumerable.Range(0, SeedsToCatchAMutant).Select(seed => Schedule.FindLostPage(mutant(), seed)).FirstOrDefault(lost => lost is not null);
        Assert.NotNull(found);
    }
}
