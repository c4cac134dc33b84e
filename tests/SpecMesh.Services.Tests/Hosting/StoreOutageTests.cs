using Npgsql;
using SpecMesh.Hosting;

namespace SpecMesh.Services.Tests.Hosting;

/// <summary>What is waited for, and what sends a message to the error queue.</summary>
public sealed class StoreOutageTests
{
    /// <summary>
    /// PostgreSQL, appendix A. 25006 was seen in the crash matrix: while the database took no writes, reports of agents and requests for targets went to the error queues, and
    /// their operations never ended.
    /// </summary>
    [Theory]
    [InlineData("25006", true)]
    [InlineData("53100", true)]
    [InlineData("57P01", true)]
    [InlineData("57P03", true)]
    [InlineData("42P01", false)]
    [InlineData("23505", false)]
    public void a_database_that_refuses_for_now_is_waited_for(string sqlState, bool waits) =>
        Assert.Equal(waits, StoreOutage.Is(new PostgresException("On purpose.", "ERROR", "ERROR", sqlState)));
}
