using System.Net.Sockets;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace SpecMesh.Hosting;

/// <summary>
/// Ends the process when its bus does not come back although the broker answers. The library replaces a connection that it has seen close; one that it takes for alive although the
/// broker has closed it is asked for channels for ever (seen with MassTransit 8.4.0 after an orderly stop of the broker, at one process of seven). Everything that the process
/// knows is durable, so an end and a start by whoever supervises it is the one remedy that needs nothing of the library.
/// </summary>
/// <param name="url">The broker.</param>
/// <param name="gate">Knows whether the bus is connected.</param>
/// <param name="end">Ends the process.</param>
/// <param name="time">The machine's clock.</param>
/// <param name="logger">Told why the process ends.</param>
internal sealed class BusWatch(BusUrl url, BusGate gate, Action end, TimeProvider time, ILogger<BusWatch> logger) : BackgroundService
{
    /// <summary>How long the broker may answer and the bus be away. The library's own attempts are 30 s apart at most.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(45);

    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(10);

    // AMQP 0-9-1, section 4.2.2: the client begins with this, and the server answers with a frame.
    private static readonly byte[] ProtocolHeader = "AMQP\0\0\u0009\u0001"u8.ToArray();

    private bool wasReady;
    private DateTimeOffset? answersSince;

    /// <summary>Stops the host: status 75, "try again later" (sysexits.h). When that hangs as the bus does, the process is aborted: status 134.</summary>
    public static Action EndOf(IHostApplicationLifetime lifetime) => () =>
    {
        Environment.ExitCode = 75;

        // A thread of its own: where the bus hangs, the pool's threads may be what it hangs with.
        Thread last = new(() =>
        {
            Thread.Sleep(StopLimit);
            Environment.FailFast("The process did not stop, and its bus does not come back.");
        })
        { IsBackground = true };
        last.Start();
        lifetime.StopApplication();
    };

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using PeriodicTimer timer = new(Interval, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            if (await LookAsync(stoppingToken))
            {
                Log.BusLost(logger, url.Host, url.Port, Patience);
                end();
                return;
            }
        }
    }

    /// <summary>One look; true when the bus is lost. A bus that was never there is not: its settings may be wrong, and readiness tells.</summary>
    internal async Task<bool> LookAsync(CancellationToken cancellationToken)
    {
        if (gate.IsReady)
        {
            (wasReady, answersSince) = (true, null);
            return false;
        }

        if (!wasReady || !await AnswersAsync(cancellationToken))
        {
            answersSince = null;
            return false;
        }

        answersSince ??= time.GetUtcNow();
        return time.GetUtcNow() - answersSince >= Patience;
    }

    /// <summary>True when somebody at the broker's address accepts a connection and speaks its protocol. With TLS only the connection is tried.</summary>
    private async Task<bool> AnswersAsync(CancellationToken cancellationToken)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(AnswerLimit);
        using TcpClient client = new();
        try
        {
            await client.ConnectAsync(url.Host, url.Port, limit.Token);
            if (url.Tls)
            {
                return true;
            }

            NetworkStream stream = client.GetStream();
            await stream.WriteAsync(ProtocolHeader, limit.Token);
            return await stream.ReadAsync(new byte[8], limit.Token) > 0;
        }
        catch (Exception error) when (error is SocketException or IOException || (error is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            // The broker is away: waiting is right.
            return false;
        }
    }
}
