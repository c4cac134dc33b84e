using Npgsql;

namespace SpecMesh.EventStore.Postgres;

/// <summary>Creates what is missing in the database; its text is in <c>schema.sql</c> and <c>functions.sql</c>.</summary>
internal static class PostgresSchema
{
    /// <summary>Key of the advisory lock under which every process changes the schema, one after the other. "SpecMesh" in ASCII.</summary>
    private const long SchemaLock = 0x53_70_65_63_4D_65_73_68;

    public static async Task CreateAsync(NpgsqlDataSource source, CancellationToken cancellationToken)
    {
        await using NpgsqlConnection connection = await source.OpenConnectionAsync(cancellationToken);
        await using NpgsqlTransaction transaction = await connection.BeginTransactionAsync(cancellationToken);

        // A transaction's first statement after the lock sees what the former holder has committed. Without the lock "if not exists" fails when two processes find nothing at once.
        foreach (string sql in new[] { $"select pg_advisory_xact_lock({SchemaLock})", Read("schema.sql"), Read("functions.sql") })
        {
            await using NpgsqlCommand command = new(sql, connection, transaction);
            await command.ExecuteNonQueryAsync(cancellationToken);
        }

        await transaction.CommitAsync(cancellationToken);
    }

    private static string Read(string name)
    {
        using Stream stream = typeof(PostgresSchema).Assembly.GetManifestResourceStream($"SpecMesh.EventStore.Postgres.{name}")
            ?? throw new InvalidOperationException($"{name} is not embedded in the assembly.");
        using StreamReader reader = new(stream);
        return reader.ReadToEnd();
    }
}
