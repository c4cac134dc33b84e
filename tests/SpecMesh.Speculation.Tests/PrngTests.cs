namespace SpecMesh.Speculation.Tests;

public class PrngTests
{
    [Fact]
    public void it_gives_the_numbers_of_the_reference_implementation()
    {
        // The first outputs of Vigna's splitmix64.c with x = 1234567.
        Prng random = new(1234567);

        ulong[] numbers = [random.NextUInt64(), random.NextUInt64(), random.NextUInt64(), random.NextUInt64(), random.NextUInt64()];

        Assert.Equal([6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821], numbers);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    [InlineData(1000)]
    public void whole_numbers_are_in_range_and_evenly_spread(int limit)
    {
        const int PerValue = 2000;
        Prng random = new(42);
        int[] seen = new int[limit];

        for (int i = 0; i < limit * PerValue; i++)
        {
            seen[random.NextInt(limit)]++;
        }

        // Six standard deviations of a binomial count.
        double tolerance = 6 * Math.Sqrt(PerValue);
        Assert.All(seen, count => Assert.InRange(count, PerValue - tolerance, PerValue + tolerance));
    }

    [Fact]
    public void a_limit_below_one_is_refused() => Assert.Throws<ArgumentOutOfRangeException>(() => new Prng(0).NextInt(0));

    [Fact]
    public void numbers_between_zero_and_one_have_the_right_mean_and_never_reach_one()
    {
        Prng random = new(7);
        double[] numbers = [.. Enumerable.Range(0, 100_000).Select(_ => random.NextDouble())];

        Assert.InRange(numbers.Average(), 0.495, 0.505);
        Assert.All(numbers, number => Assert.InRange(number, 0, 1 - double.Epsilon));
        Assert.DoesNotContain(1.0, numbers);
    }

    [Fact]
    public void every_order_of_a_shuffle_is_about_equally_likely()
    {
        Prng random = new(99);
        Dictionary<string, int> orders = [];
        for (int i = 0; i < 24_000; i++)
        {
            string order = string.Concat(random.Shuffle("abcd"));
            orders[order] = orders.GetValueOrDefault(order) + 1;
        }

        Assert.Equal(24, orders.Count);
        Assert.All(orders.Values, count => Assert.InRange(count, 800, 1200));
    }

    [Fact]
    public void a_seed_depends_on_the_operation_and_on_the_request()
    {
        Guid operation = new("5f1d7e84-7a2b-4c3d-9e8f-000000000001");
        Guid neighbour = new("5f1d7e84-7a2b-4c3d-9e8f-000000000002");

        Assert.Equal(Prng.SeedOf(operation, 3), Prng.SeedOf(operation, 3));
        Assert.NotEqual(Prng.SeedOf(operation, 3), Prng.SeedOf(operation, 4));
        Assert.NotEqual(Prng.SeedOf(operation, 3), Prng.SeedOf(neighbour, 3));
    }

    [Fact]
    public void a_split_generator_does_not_repeat_its_parent()
    {
        Prng parent = new(5);
        Prng child = parent.Split();

        ulong[] first = [.. Enumerable.Range(0, 1000).Select(_ => parent.NextUInt64())];
        ulong[] second = [.. Enumerable.Range(0, 1000).Select(_ => child.NextUInt64())];

        Assert.Empty(first.Intersect(second));
    }
}
