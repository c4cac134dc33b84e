using Microsoft.Extensions.Logging;
using Npgsql;
using SpecMesh.EventStore.Postgres;
using SpecMesh.EventStore.Sqlite;

namespace SpecMesh.EventStore;

/// <summary>Opens the store that a configuration names.</summary>
public static class StoreConnection
{
    private const string SqlitePrefix = "sqlite:";

    /// <summary>Opens a store. Nothing is read or written before <see cref="IEventStore.InitializeAsync"/>.</summary>
    /// <param name="url">
    /// <c>sqlite:path</c>, with <c>?durability=normal</c> after it where a power failure may take the last commits back;
    /// <c>postgres://user:password@host:port/database</c>, with any of Npgsql's settings as its query; or Npgsql's connection string, which begins with <c>Host=</c> or
    /// <c>Server=</c> or holds one of them.
    /// </param>
    /// <param name="types">Records that the store may hold.</param>
    /// <param name="clock">Gives events their timestamps and says what is due.</param>
    /// <param name="logger">Gets what an operator should know; null: nobody does.</param>
    /// <exception cref="ArgumentException">The text names no store. The message never holds what was given, because that may contain a password.</exception>
    public static IEventStore Open(string url, EventTypes types, TimeProvider clock, ILogger? logger = null)
    {
        if (url.StartsWith(SqlitePrefix, StringComparison.OrdinalIgnoreCase))
        {
            return OpenSqlite(url[SqlitePrefix.Length..], types, clock);
        }

        return new PostgresEventStore(PostgresConnectionString(url), types, clock, logger);
    }

    /// <summary>Npgsql's connection string for a PostgreSQL URL or connection string.</summary>
    internal static string PostgresConnectionString(string url)
    {
        NpgsqlConnectionStringBuilder connection = new();
        foreach ((string key, string value) in url.Contains("://", StringComparison.Ordinal) ? SettingsOfUrl(url) : SettingsOfText(url))
        {
            try
            {
                connection[key] = value;
            }
            catch (Exception e) when (e is ArgumentException or FormatException or OverflowException or InvalidCastException)
            {
                // Without the exception: its text may repeat the value, and where the separators are wrong, the value may be the password.
                throw new ArgumentException("The PostgreSQL store has a setting that Npgsql does not accept.", nameof(url));
            }
        }

        return connection.Host is { Length: > 0 }
            ? connection.ToString()
            : throw new ArgumentException("The store is neither sqlite:<path> nor a PostgreSQL URL or connection string with a host.", nameof(url));
    }

    private static List<(string Key, string Value)> SettingsOfUrl(string url)
    {
        if (!Uri.TryCreate(url, UriKind.Absolute, out Uri? uri) || uri.Scheme is not ("postgres" or "postgresql"))
        {
            throw new ArgumentException("The store's URL is no valid postgres:// URL.", nameof(url));
        }

        string[] user = uri.UserInfo.Split(':', 2);
        List<(string Key, string Value)> settings = [("Host", uri.Host)];
        Add("Port", uri.Port > 0 ? uri.Port.ToString(System.Globalization.CultureInfo.InvariantCulture) : "");
        Add("Database", uri.AbsolutePath.TrimStart('/'));
        Add("Username", user[0]);
        Add("Password", user.Length > 1 ? user[1] : "");
        foreach (string pair in uri.Query.TrimStart('?').Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] parts = pair.Split('=', 2);
            Add(parts[0], parts.Length > 1 ? parts[1] : "");
        }

        return settings;

        void Add(string key, string escaped)
        {
            if (escaped.Length > 0)
            {
                settings.Add((Uri.UnescapeDataString(key), Uri.UnescapeDataString(escaped)));
            }
        }
    }

    private static List<(string Key, string Value)> SettingsOfText(string text)
    {
        System.Data.Common.DbConnectionStringBuilder parsed = new();
        try
        {
            parsed.ConnectionString = text;
        }
        catch (ArgumentException)
        {
            // As above: the text of the exception is not shown to anybody.
            throw new ArgumentException("The store is neither sqlite:<path> nor a PostgreSQL URL or connection string.", nameof(text));
        }

        return [.. parsed.Keys.Cast<string>().Select(key => (key, (string)parsed[key]))];
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
