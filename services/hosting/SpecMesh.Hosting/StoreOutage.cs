using System.Data.Common;
using System.Net.Sockets;
using Microsoft.Data.Sqlite;
using SpecMesh.EventStore;

namespace SpecMesh.Hosting;

/// <summary>Tells an event store that is away from one that answers with an error.</summary>
public static class StoreOutage
{
    private const int SqliteBusy = 5;
    private const int SqliteLocked = 6;

    /// <summary>SQLSTATE of a server that takes no writes now: a standby before its promotion, or one that an operator has closed for writing.</summary>
    private const string ReadOnly = "25006";

    /// <summary>True for errors of the store, or of the way to it, that may be over at the next attempt.</summary>
    /// <remarks>A commit whose answer was lost is one of them: the next attempt reads what it has come to, and decides on that.</remarks>
    public static bool Is(Exception exception) => exception switch
    {
        SqliteException sqlite => sqlite.SqliteErrorCode is SqliteBusy or SqliteLocked,
        DbException database => database.IsTransient || database.SqlState == ReadOnly || database.InnerException is SocketException or IOException or TimeoutException,
        StoreUnavailableException or CommitUnknownException => true,
        _ => false,
    };
}
