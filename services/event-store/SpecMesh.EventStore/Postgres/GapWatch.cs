using Microsoft.Extensions.Logging;
using Npgsql;

namespace SpecMesh.EventStore.Postgres;

/// <summary>
/// Decides when a number missing in the sequence of events will stay missing, so that a reader may go past it.
/// </summary>
/// <remarks>
/// <para>
/// Numbers are drawn before they commit, so a reader that sees 7 and 9 does not know whether 8 was rolled back or is about to commit. Who draws a number takes a lock on
/// the sequence first (nextval: ROW EXCLUSIVE, held until the transaction ends, kept by a prepared transaction), and who inserts events holds the same lock on the tables.
/// <c>pg_locks</c> shows these locks to every role, with an identity of the transaction that never comes again.
/// </para>
/// <para>
/// Step 1, the sighting, is one statement: its snapshot S1 gives the highest number that is visible, the horizon; later than S1, while the statement runs, it reads the set
/// of transactions that hold such locks. Every number up to the horizon was drawn before S1 (the sequence hands them out in order, CACHE 1). So a transaction that may still
/// commit one of them either is in the set, or had ended when the set was read.
/// </para>
/// <para>
/// Step 2, the evidence, is a later statement: nobody of the set holds a lock any more. A transaction releases its locks only after its commit has become visible to new
/// snapshots. So every snapshot taken from now on shows every number up to the horizon that will ever be there.
/// </para>
/// <para>
/// Step 3 is the read itself, with a snapshot S3 taken after step 2. It must not share a snapshot with step 2: a transaction that commits after the snapshot and releases its
/// locks before the locks are looked at would be neither seen nor waited for. The reader therefore takes <see cref="Settled"/> first and reads events afterwards.
/// </para>
/// <para>
/// Compared with looking for transactions older than the sighting, this does not depend on the server's clock, needs no right to see other roles' activity, and is not held up
/// by a backup or an idle session that never touched the events. A prepared transaction keeps its locks and its identity. The patience is for a writer outside of this contract:
/// Marten's Rich mode draws numbers in a transaction before the one that inserts them.
/// </para>
/// </remarks>
internal sealed class GapWatch(NpgsqlDataSource source, TimeSpan patience, ILogger logger) : IDisposable
{
    private const string Writers =
        """
        from pg_locks l
        where l.locktype = 'relation' and l.mode = 'RowExclusiveLock' and l.database = (select d.oid from pg_database d where d.datname = current_database())
          and l.relation in ('mesh.mt_events_sequence'::regclass, 'mesh.mt_events'::regclass, 'mesh.mt_streams'::regclass)
        """;

    private readonly SemaphoreSlim gate = new(1, 1);
    private Sighting? sighting;
    private long settled;

    /// <summary>In every snapshot taken after this was read, the numbers up to here that are missing stay missing.</summary>
    public long Settled => Volatile.Read(ref settled);

    /// <summary>Judges a gap that ends before <paramref name="beyond"/>, which is visible. To be called again while it says false.</summary>
    /// <param name="firstMissing">For the log.</param>
    /// <param name="beyond">The first number after the gap.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>True when <see cref="Settled"/> now covers the gap.</returns>
    public async Task<bool> SettleAsync(long firstMissing, long beyond, CancellationToken cancellationToken)
    {
        await gate.WaitAsync(cancellationToken);
        try
        {
            // A sighting made for an earlier gap may end below this one; then the second turn makes a new one.
            for (int turn = 0; turn < 2 && Settled < beyond; turn++)
            {
                sighting ??= await SightAsync(cancellationToken);
                if (!await HaveEndedAsync(sighting, cancellationToken))
                {
                    return false;
                }

                Volatile.Write(ref settled, Math.Max(Settled, sighting.Horizon));
                sighting = null;
                Log.GapsSettled(logger, firstMissing, Settled);
            }

            return Settled >= beyond;
        }
        finally
        {
            gate.Release();
        }
    }

    public void Dispose() => gate.Dispose();

    private async Task<Sighting> SightAsync(CancellationToken cancellationToken)
    {
        await using NpgsqlCommand command = source.CreateCommand(
            $"select (select coalesce(max(seq_id), 0) from mesh.mt_events), array(select distinct l.virtualtransaction {Writers}), clock_timestamp()");
        await using NpgsqlDataReader reader = await command.ExecuteReaderAsync(cancellationToken);
        await reader.ReadAsync(cancellationToken);
        return new Sighting(
            reader.GetInt64(0),
            await reader.GetFieldValueAsync<string[]>(1, cancellationToken),
            await reader.GetFieldValueAsync<DateTimeOffset>(2, cancellationToken));
    }

    private async Task<bool> HaveEndedAsync(Sighting seen, CancellationToken cancellationToken)
    {
        await using NpgsqlCommand command = source.CreateCommand(
            $"select not exists (select {Writers} and l.virtualtransaction = any ($1)) and clock_timestamp() - $2 >= $3");
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = seen.Writers });
        command.Parameters.Add(new NpgsqlParameter<DateTimeOffset> { TypedValue = seen.At });
        command.Parameters.Add(new NpgsqlParameter<TimeSpan> { TypedValue = patience });
        return (bool)(await command.ExecuteScalarAsync(cancellationToken))!;
    }

    /// <param name="Horizon">Highest number visible.</param>
    /// <param name="Writers">Transactions that may still commit a number up to the horizon, and perhaps others.</param>
    /// <param name="At">By the server's clock.</param>
    private sealed record Sighting(long Horizon, string[] Writers, DateTimeOffset At);
}
