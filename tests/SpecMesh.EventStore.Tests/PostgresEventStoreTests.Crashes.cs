using System.Net;
using System.Net.Sockets;
using Npgsql;
using SpecMesh.EventStore.Postgres;

namespace SpecMesh.EventStore.Tests;

public sealed partial class PostgresEventStoreTests
{
    [StoreFact]
    public async Task a_backend_that_dies_inside_a_commit_leaves_nothing_and_the_caller_is_told_to_look()
    {
        await using NpgsqlConnection connection = await source.OpenConnectionAsync(Token);
        await using NpgsqlTransaction foreign = await connection.BeginTransactionAsync(Token);
        await ForeignAppendAsync(connection, "z", 0, 1);
        Commit commit = new(
            Service, [new StreamAppend("a", "test", 0, [new Counted(1)]), new StreamAppend("z", "test", 0, [new Counted(1)])], [Message(1)], new CheckpointMove("s", 0, 1));

        // By now the commit has written all of "a" and waits for the foreign writer of "z".
        Task ours = Store.CommitAsync(commit, Token);
        while (!ours.IsCompleted)
        {
            // A commit that has waited for a lock for long goes on alone, on another backend.
            await ExecuteAsync("select pg_terminate_backend(pid, 60000) from pg_stat_activity where datname = current_database() and application_name = 'specmesh' and wait_event_type = 'Lock'");
        }

        CommitUnknownException unknown = await Assert.ThrowsAsync<CommitUnknownException>(() => ours);
        await foreign.RollbackAsync(Token);

        Assert.Contains("a, z", unknown.Message, StringComparison.Ordinal);
        Assert.Empty(await ReadAllAsync(Store));
        Assert.Null(await Store.NextDueAsync(Service, Token));
        Assert.Equal(0, await Store.ReadCheckpointAsync("s", Token));
        await Store.CommitAsync(commit, Token);
        Assert.Equal(2, (await ReadAllAsync(Store)).Count);
    }

    [StoreFact]
    public async Task a_commit_whose_answer_is_lost_is_reported_as_unknown_and_is_there()
    {
        NpgsqlConnectionStringBuilder direct = new(connectionString);
        await using AnswerEater eater = new(direct.Host!, direct.Port);
        direct.Host = "127.0.0.1";
        direct.Port = eater.Port;
        direct.SslMode = SslMode.Disable;
        await using PostgresEventStore remote = new(direct.ToString(), Records.Types, Clock);
        await remote.CommitAsync(Append("before", 0, new Counted(1)), Token);

        eater.EatAnswers = true;
        Task ours = remote.CommitAsync(Append("a", 0, new Counted(1)), Token);
        while ((await Store.ReadStreamAsync("a", 0, 10, Token)).Count == 0)
        {
            Assert.False(ours.IsCompleted, "the answer arrived although it was eaten");
        }

        eater.Cut();
        await Assert.ThrowsAsync<CommitUnknownException>(() => ours);
        Assert.Single(await Store.ReadStreamAsync("a", 0, 10, Token));
    }

    [StoreFact]
    public async Task a_dispatcher_that_loses_its_connection_while_publishing_hands_the_messages_out_again()
    {
        await Store.CommitAsync(Send(Message(1), Message(2)), Token);
        List<Guid> first = [];

        await Assert.ThrowsAnyAsync<NpgsqlException>(() => Store.DispatchAsync(
            Service,
            10,
            async (messages, token) =>
            {
                first.AddRange(messages.Select(message => message.MessageId));
                await ExecuteAsync("select pg_terminate_backend(pid, 60000) from pg_stat_activity where datname = current_database() and state = 'idle in transaction'");
            },
            Token));

        Assert.Equal(2, first.Count);
        Assert.Equal(first, (await DispatchWholeAsync()).Select(message => message.MessageId));
    }

    [StoreFact]
    public async Task a_subscription_whose_commit_is_cut_off_goes_on_and_repeats_nothing()
    {
        await Store.CommitAsync(Append("source", 0, new Counted(1)), Token);
        await using NpgsqlConnection connection = await source.OpenConnectionAsync(Token);
        await using NpgsqlTransaction foreign = await connection.BeginTransactionAsync(Token);
        await ForeignAppendAsync(connection, "echo", 0, 9);

        Task running = Subscription.Checkpointed(Store, Records.Types, Service, "echo", EchoAsync).CatchUpAsync(Token);
        await ExecuteAsync($"select pg_terminate_backend({await BlockedBackendAsync()}, 60000)");
        await foreign.RollbackAsync(Token);
        await running;

        Assert.Equal([1], (await Store.ReadStreamAsync("echo", 0, 10, Token)).Select(stored => ((Reminder)stored.Data).Value));
        Assert.Equal([1], await DispatchAsync());
    }

    [StoreFact]
    public async Task a_second_dispatcher_takes_what_the_first_does_not_hold()
    {
        await Store.CommitAsync(Send(Message(1), Message(2), Message(3)), Token);
        IEventStore other = await OpenAsync();
        List<int> inside = [];

        await Store.DispatchAsync(
            Service,
            2,
            async (_, token) => await other.DispatchAsync(
                Service,
                10,
                (messages, _) =>
                {
                    inside.AddRange(messages.Select(message => ((Reminder)message.Message).Value));
                    return Task.CompletedTask;
                },
                token),
            Token);

        Assert.Equal([3], inside);
        Assert.Empty(await DispatchAsync());
    }

    /// <summary>A proxy in front of the server that can keep the server's answers to itself, as a network does that breaks at the wrong moment.</summary>
    private sealed class AnswerEater : IAsyncDisposable
    {
        private readonly TcpListener listener = new(IPAddress.Loopback, 0);
        private readonly System.Collections.Concurrent.ConcurrentBag<TcpClient> clients = [];
        private readonly Task accepting;
        private volatile bool eats;

        public AnswerEater(string host, int port)
        {
            listener.Start();
            accepting = AcceptAsync(host, port);
        }

        public int Port => ((IPEndPoint)listener.LocalEndpoint).Port;

        public bool EatAnswers
        {
            set => eats = value;
        }

        /// <summary>Ends every connection.</summary>
        public void Cut()
        {
            foreach (TcpClient client in clients)
            {
                client.Close();
            }
        }

        public async ValueTask DisposeAsync()
        {
            listener.Stop();
            Cut();
            await accepting;
        }

        private async Task AcceptAsync(string host, int port)
        {
            List<Task> pumps = [];
            try
            {
                while (true)
                {
                    TcpClient client = await listener.AcceptTcpClientAsync();
                    TcpClient upstream = new();
                    clients.Add(client);
                    clients.Add(upstream);
                    await upstream.ConnectAsync(host, port);
                    pumps.Add(PumpAsync(client.GetStream(), upstream.GetStream(), answers: false));
                    pumps.Add(PumpAsync(upstream.GetStream(), client.GetStream(), answers: true));
                }
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // The listener was stopped: the test is over.
                await Task.WhenAll(pumps);
            }
        }

        private async Task PumpAsync(NetworkStream from, NetworkStream to, bool answers)
        {
            byte[] buffer = new byte[65536];
            try
            {
                while (await from.ReadAsync(buffer) is int count and > 0)
                {
                    if (!answers || !eats)
                    {
                        await to.WriteAsync(buffer.AsMemory(0, count));
                    }
                }
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException)
            {
                // One of the two ends was cut, which is what this class is for.
                return;
            }
        }
    }
}
