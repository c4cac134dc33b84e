using SpecMesh.Speculation.Costs;

namespace SpecMesh.Speculation.Tests.Costs;

/// <summary>The cluster's budget for speculative work.</summary>
public sealed class SpeculationBudgetTests
{
    private static readonly BudgetOptions Options = new(Share: 0.1, Burst: 4, PerSecond: 0);

    [Fact]
    public void speculative_work_is_a_tenth_of_the_necessary_work_however_much_is_wanted()
    {
        SpeculationBudget budget = SpeculationBudget.Full(Options, 0);
        int spent = 0;
        for (int i = 0; i < 10_000; i++)
        {
            budget = budget.Earn(Options, i, 1);
            int wanted = Math.Min(3, budget.Whole);
            budget = budget.Spend(wanted);
            spent += wanted;
        }

        Assert.InRange(spent, 1000, 1004);
    }

    [Fact]
    public void no_more_is_saved_up_than_a_burst() => Assert.Equal(4, SpeculationBudget.Full(Options, 0).Earn(Options, 1, 1e9).Whole);

    [Fact]
    public void a_debt_is_paid_back_before_anything_is_spent()
    {
        SpeculationBudget budget = SpeculationBudget.Full(Options, 0).Spend(6);
        Assert.Equal(0, budget.Whole);
        Assert.Equal(0, budget.Earn(Options, 0, 19).Whole);
        Assert.Equal(1, budget.Earn(Options, 0, 31).Whole);
    }

    [Fact]
    public void time_earns_as_well()
    {
        BudgetOptions byTime = Options with { PerSecond = 0.5 };
        SpeculationBudget empty = SpeculationBudget.Full(byTime, 0).Spend(4);
        Assert.Equal(2, empty.Earn(byTime, 4.1, 0).Whole);
        Assert.Equal(0, empty.Earn(byTime, -9, 0).Whole);
    }
}
