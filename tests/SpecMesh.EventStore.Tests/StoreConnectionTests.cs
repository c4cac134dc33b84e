using Npgsql;
using SpecMesh.EventStore.Postgres;
using SpecMesh.EventStore.Sqlite;

namespace SpecMesh.EventStore.Tests;

public sealed class StoreConnectionTests
{
    [Theory]
    [InlineData("postgres://user:s%40cret@db.example:5433/mesh?sslmode=Require", "db.example", 5433, "user", "s@cret", "mesh")]
    [InlineData("postgresql://user@localhost/mesh", "localhost", 5432, "user", null, "mesh")]
    [InlineData("Host=db;Username=u;Password=s3cret;Database=d", "db", 5432, "u", "s3cret", "d")]
    public void a_postgres_url_and_a_connection_string_name_the_same_things(string url, string host, int port, string user, string? password, string database)
    {
        NpgsqlConnectionStringBuilder connection = new(StoreConnection.PostgresConnectionString(url));
        Assert.Equal((host, port, user, password, database), (connection.Host, connection.Port, connection.Username, connection.Password, connection.Database));
    }

    [Theory]
    [InlineData("postgres://user:s3cret@db:notaport/mesh")]
    [InlineData("postgres://user:s3cret@db/mesh?unknown=1")]
    [InlineData("mysql://user:s3cret@db/mesh")]
    [InlineData("Host=db;Port=s3cret")]
    [InlineData("Password=s3cret")]
    [InlineData("s3cret")]
    [InlineData("sqlite:")]
    [InlineData("sqlite:x.db?durability=s3cret")]
    [InlineData("")]
    public void what_names_no_store_is_refused_without_repeating_it(string url)
    {
        ArgumentException refused = Assert.Throws<ArgumentException>(() => StoreConnection.Open(url, Records.Types, TimeProvider.System));
        Assert.DoesNotContain("s3cret", refused.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task each_kind_of_url_opens_its_store()
    {
        await using IEventStore sqlite = StoreConnection.Open("sqlite:some/store.db?durability=normal", Records.Types, TimeProvider.System);
        await using IEventStore postgres = StoreConnection.Open("postgres://u:p@127.0.0.1:1/d", Records.Types, TimeProvider.System);
        Assert.IsType<SqliteEventStore>(sqlite);
        Assert.IsType<PostgresEventStore>(postgres);
    }

    [Fact]
    public async Task a_server_that_cannot_be_reached_is_named_without_the_password()
    {
        await using IEventStore store = StoreConnection.Open("postgres://user:s3cret@127.0.0.1:1/mesh", Records.Types, TimeProvider.System);
        Exception failed = await Assert.ThrowsAnyAsync<NpgsqlException>(() => store.InitializeAsync(CancellationToken.None));
        Assert.DoesNotContain("s3cret", failed.ToString(), StringComparison.Ordinal);
        await Assert.ThrowsAnyAsync<NpgsqlException>(() => store.CommitAsync(new Commit("s", [new StreamAppend("a", "t", 0, [new Counted(1)])], []), CancellationToken.None));
    }
}
