using Npgsql;

namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>What happens to PostgreSQL. Each lets everybody go on who waits, and returns when the fault is over.</summary>
public static class DatabaseFaults
{
    private static readonly TimeSpan Length = TimeSpan.FromSeconds(4);

    public static Task KillAsync(CrashSystem system, Action goOn)
    {
        system.Victims.Kill("postgres");
        goOn();
        return Task.CompletedTask;
    }

    public static Task RestartAsync(CrashSystem system, Action goOn)
    {
        system.Victims.Stop("postgres", "INT");
        goOn();
        return Task.CompletedTask;
    }

    /// <summary>Every session but ours is ended by an operator.</summary>
    public static async Task BreakConnectionsAsync(CrashSystem system, Action goOn)
    {
        await ExecuteAsync(system, "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'");
        goOn();
    }

    /// <summary>As after a failover to a standby, or when an operator stops all writing.</summary>
    public static async Task RefuseWritesAsync(CrashSystem system, Action goOn)
    {
        await ExecuteAsync(system, "alter system set default_transaction_read_only = on");
        await ExecuteAsync(system, "select pg_reload_conf()");
        goOn();
        await Until.PassedAsync(Length);
        await ExecuteAsync(system, "alter system reset default_transaction_read_only");
        await ExecuteAsync(system, "select pg_reload_conf()");
    }

    /// <summary>The file system of the database is full for a while. That the database itself feels it is made sure of first.</summary>
    public static async Task FillDiskAsync(CrashSystem system, Action goOn)
    {
        DatabaseDisk disk = system.Disk!;
        await ExecuteAsync(system, "create table if not exists ballast (text text)");
        disk.Fill();
        try
        {
            PostgresException full = await Assert.ThrowsAsync<PostgresException>(() =>
                ExecuteAsync(system, "insert into ballast select repeat(md5(i::text), 200) from generate_series(1, 100000) i"));
            Assert.Equal(PostgresErrorCodes.DiskFull, full.SqlState);
            goOn();
            await Until.PassedAsync(Length);
        }
        finally
        {
            disk.Free();
        }
    }

    /// <summary>The process's next commit happens, and the process does not hear of it.</summary>
    public static async Task LoseAnswerAsync(string process, Action goOn)
    {
        CommitWatch.Arm(process);
        goOn();
        await Until.TrueAsync(() => CommitWatch.HasStruck(process) ? null : $"{process} has not committed");
    }

    private static async Task ExecuteAsync(CrashSystem system, string sql)
    {
        Uri url = new(system.Database);
        string[] user = url.UserInfo.Split(':');
        NpgsqlConnectionStringBuilder connection = new()
        {
            Host = url.Host,
            Port = url.Port,
            Database = url.AbsolutePath.TrimStart('/'),
            Username = user[0],
            Password = user[1],
            Pooling = false,
            Options = "-c default_transaction_read_only=off",
        };
        await using NpgsqlDataSource source = NpgsqlDataSource.Create(connection.ToString());
        await using NpgsqlCommand command = source.CreateCommand(sql);
        await command.ExecuteNonQueryAsync();
    }
}
