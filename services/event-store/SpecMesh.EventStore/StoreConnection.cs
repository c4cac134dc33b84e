using SpecMesh.EventStore.Sqlite;

namespace SpecMesh.EventStore;

/// <summary>Opens the store that a configuration names.</summary>
public static class StoreConnection
{
    private const string SqlitePrefix = "sqlite:";

    /// <summary>Opens a store. Nothing is read or written before <see cref="IEventStore.InitializeAsync"/>.</summary>
    /// <param name="url"><c>sqlite:path</c>, with <c>?durability=normal</c> after it where a power failure may take the last commits back.</param>
    /// <param name="types">Records that the store may hold.</param>
    /// <param name="clock">Gives events their timestamps and says what is due.</param>
    /// <exception cref="ArgumentException">The text names no store. The message never holds what was given, because that may contain a password.</exception>
    public static IEventStore Open(string url, EventTypes types, TimeProvider clock)
    {
        if (url.StartsWith(SqlitePrefix, StringComparison.OrdinalIgnoreCase))
        {
            return OpenSqlite(url[SqlitePrefix.Length..], types, clock);
        }

        throw new ArgumentException("The store is neither sqlite:<path> nor a PostgreSQL URL or connection string.", nameof(url));
    }

    private static SqliteEventStore OpenSqlite(string rest, EventTypes types, TimeProvider clock)
    {
        string[] parts = rest.Split('?', 2);
        SqliteDurability durability = parts switch
        {
            [_] or [_, "durability=full"] => SqliteDurability.Full,
            [_, "durability=normal"] => SqliteDurability.Normal,
            _ => throw new ArgumentException("A sqlite store has the options durability=full and durability=normal.", nameof(rest)),
        };
        return parts[0].Length > 0
            ? new SqliteEventStore(parts[0], types, clock, durability)
            : throw new ArgumentException("sqlite: needs the path of a file after it.", nameof(rest));
    }
}
