using System.IO.Pipes;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Xen.Format;

namespace SpecMesh.Hypervisors.Xen.Receiving;

/// <summary>What one receiver is started with.</summary>
/// <param name="Xl">Xen's command line on this host.</param>
/// <param name="Tag">The replica that it will hold.</param>
/// <param name="Setup">The source's domain.</param>
/// <param name="Layout">Which page frames that domain has.</param>
/// <param name="ZeroPages">How pages of zeros travel to it.</param>
/// <param name="Time">Clock for the limits.</param>
public sealed record XenReceiverOptions(XlCommand Xl, GuestTag Tag, XenDomainSetup Setup, MemoryLayout Layout, ZeroPages ZeroPages, TimeProvider Time)
{
    /// <summary>How long each answer of the receiver may take.</summary>
    public HandshakeLimits Limits { get; init; } = new();
}

/// <summary>
/// One replica in the hands of a stock <c>xl migrate-receive</c>, which is a child of this process. After <see cref="EndAsync"/> no domain of it is left, in whatever state it was
/// and however it ended. If this process dies, the receiver loses both its ends: before it is ready it takes its domain down itself; after that its domain stays, paused and whole,
/// under its <see cref="ReplicaName"/>, for the agent that comes next.
/// </summary>
public sealed class XenReceiver : IAsyncDisposable
{
    private static readonly TimeSpan ExitPatience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan TextPatience = TimeSpan.FromSeconds(1);

    private readonly XenReceiverOptions options;
    private readonly System.Diagnostics.Process process;
    private readonly HeldPipe input;
    private readonly MigrateHandshake handshake;
    private readonly XenStreamWriter writer;
    private readonly Task<string> errors;
    private readonly Guid uuid;
    private CancellationTokenRegistration interruption;
    private bool ended;

    private XenReceiver(XenReceiverOptions options, System.Diagnostics.Process process)
    {
        this.options = options;
        this.process = process;
        uuid = LibxlConfiguration.Parse(options.Setup.LibxlConfiguration.Span).Uuid;
        errors = XlCommand.ReadTailAsync(process.StandardError);
        (input, HeldPipe output) = HeldPipe.Hold((PipeStream)process.StandardInput.BaseStream, (PipeStream)process.StandardOutput.BaseStream);
        handshake = new MigrateHandshake(options.Tag, input, output, options.Time, options.Limits);
        writer = new XenStreamWriter(input, options.Layout.PfnCount, options.ZeroPages);
        Memory = new ExplainedMemory(this, new XenImageSink(writer, options.Layout));
    }

    /// <summary>The receiver's memory: what is written here goes to its domain.</summary>
    public IGuestMemory Memory { get; }

    /// <summary>Bytes of the migration stream so far. May be read by any thread.</summary>
    public long BytesWritten => writer.BytesWritten;

    /// <summary>True when the domain may run, whatever is known of it.</summary>
    public bool MayRun => handshake.MayRun;

    /// <summary>True while the receiver waits for the permission.</summary>
    public bool IsReady => handshake.Phase == DialogPhase.Ready;

    /// <summary>Starts a receiver and hands it everything before the pages.</summary>
    /// <param name="options">What it is started with.</param>
    /// <param name="cancellationToken">Until the image is complete: ends its input, and with it whatever waits for the receiver. It is dismissed then.</param>
    /// <exception cref="HypervisorException">There is no receiver here, or it failed; nothing is left of it.</exception>
    public static async Task<XenReceiver> StartAsync(XenReceiverOptions options, CancellationToken cancellationToken)
    {
        XenReceiver receiver = new(options, options.Xl.Start(["migrate-receive", "-e"]));
        try
        {
            await receiver.handshake.AwaitBannerAsync(cancellationToken);
            receiver.interruption = cancellationToken.Register(receiver.input.Dispose);
            byte[] configuration = LibxlConfiguration.Parse(options.Setup.LibxlConfiguration.Span).WithName(ReplicaName.Of(options.Tag)).ToBytes();
            await Task.Run(() => receiver.writer.WriteHead(options.Setup with { LibxlConfiguration = configuration }), cancellationToken);
            return receiver;
        }
        catch (Exception failure)
        {
            await receiver.DisposeAsync();
            if (IsOfTheReceiver(failure))
            {
                throw await receiver.ExplainAsync(failure);
            }

            throw;
        }
    }

    /// <summary>Hands the receiver everything after the pages, and waits until its domain is complete and paused. From then on only <see cref="EndAsync"/> ends it.</summary>
    /// <exception cref="HypervisorException">It failed.</exception>
    public async Task CompleteAsync(XenDomainState state, CancellationToken cancellationToken)
    {
        try
        {
            handshake.TailBegins();
            await Task.Run(() => writer.WriteTail(state), cancellationToken);
            await handshake.AwaitReadyAsync(cancellationToken);
        }
        catch (Exception failure) when (IsOfTheReceiver(failure))
        {
            throw await ExplainAsync(failure);
        }

        // What was cancelled before this has dismissed the receiver; what is cancelled after it does not.
        await interruption.DisposeAsync();
        cancellationToken.ThrowIfCancellationRequested();
    }

    /// <summary>Permits the domain to run, and returns when it does, under the machine's own name.</summary>
    /// <exception cref="InvalidOperationException">The domain is not complete. Nothing was sent.</exception>
    /// <exception cref="HypervisorException">The commit is not this replica's, and nothing was sent; or the domain does not run, or nobody knows: see <see cref="MayRun"/>.</exception>
    public async Task GoAsync(DurableCommit commit, CancellationToken cancellationToken)
    {
        try
        {
            await handshake.GoAsync(commit, cancellationToken);
        }
        catch (MigrateReceiveException failure)
        {
            throw await ExplainAsync(failure);
        }

        await options.Xl.RunAsync(["rename", ReplicaName.Of(options.Tag), options.Tag.VmId], cancellationToken);
    }

    /// <summary>Ends the receiver, and the domain with it unless that runs, or may run. Returns when nothing else is left. A second call does nothing.</summary>
    /// <exception cref="HypervisorException">A domain that should be gone cannot be destroyed. It may be tried again.</exception>
    public async Task EndAsync()
    {
        bool runs = handshake.MayRun;
        if (!ended)
        {
            await interruption.DisposeAsync();
            bool orderly = runs || await DismissAsync();
            await EndProcessAsync(orderly);
            ended = true;
        }

        if (!runs)
        {
            await SweepAsync();
        }
    }

    /// <summary>Ends the receiver's process at once, and leaves its domain to whoever looks at it. A second call does nothing.</summary>
    public async Task KillAsync()
    {
        if (!ended)
        {
            await interruption.DisposeAsync();
            await EndProcessAsync(orderly: false);
            ended = true;
        }
    }

    /// <summary>Lets go of a receiver that is ready, or whose domain runs: the domain stays as it is.</summary>
    public async Task DetachAsync()
    {
        await interruption.DisposeAsync();
        await handshake.DisposeAsync();
        process.Dispose();
    }

    public async ValueTask DisposeAsync()
    {
        await EndAsync();
        process.Dispose();
    }

    /// <summary>Failures that the receiver's own words explain.</summary>
    private static bool IsOfTheReceiver(Exception failure) => failure is MigrateReceiveException or IOException or ObjectDisposedException;

    /// <returns>True when the receiver ended by itself.</returns>
    private async Task<bool> DismissAsync()
    {
        try
        {
            await handshake.DismissAsync(CancellationToken.None);
            return true;
        }
        catch (MigrateReceiveException)
        {
            // It does not end as it should, so it is ended; what it leaves is looked for in any case.
            return false;
        }
    }

    private async Task EndProcessAsync(bool orderly)
    {
        using CancellationTokenSource limit = new(orderly ? ExitPatience : TimeSpan.Zero, options.Time);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            // Its helper process holds the domain's memory, so it goes too.
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync();
        }

        await handshake.DisposeAsync();
    }

    /// <summary>
    /// Destroys what the receiver has left: a domain under its name, or one of the machine that has none because it was being built. Nobody else builds this machine here: one
    /// operation is open at a time, and it has each target once.
    /// </summary>
    private async Task SweepAsync()
    {
        string[] own = [ReplicaName.Of(options.Tag), ReplicaName.Incoming(options.Tag)];
        foreach (ListedDomain left in await options.Xl.ListAsync(CancellationToken.None))
        {
            if (left.Name is null ? left.Uuid == uuid : own.Contains(left.Name))
            {
                await options.Xl.DestroyAsync(left.DomainId, CancellationToken.None);
            }
        }
    }

    private async Task<HypervisorException> ExplainAsync(Exception failure)
    {
        // What it said last is worth a moment; a process of its own that outlives it may keep the text open.
        await Task.WhenAny(errors, Task.Delay(TextPatience, options.Time));
        string said = errors.IsCompletedSuccessfully ? $" It said: {(await errors).Trim()}" : "";
        return new HypervisorException($"xl migrate-receive: {failure.Message}{said}", failure);
    }

    /// <summary>The way to the receiver's domain. Where it ends, the receiver has said why.</summary>
    private sealed class ExplainedMemory(XenReceiver receiver, XenImageSink sink) : IGuestMemory
    {
        public long PageCount => sink.PageCount;

        public void Read(long firstPage, Span<byte> destination) => sink.Read(firstPage, destination);

        public void Write(long firstPage, ReadOnlySpan<byte> source)
        {
            try
            {
                sink.Write(firstPage, source);
            }
            catch (Exception failure) when (IsOfTheReceiver(failure))
            {
                throw receiver.ExplainAsync(failure).GetAwaiter().GetResult();
            }
        }

        public void Zero(long firstPage, long count)
        {
            try
            {
                sink.Zero(firstPage, count);
            }
            catch (Exception failure) when (IsOfTheReceiver(failure))
            {
                throw receiver.ExplainAsync(failure).GetAwaiter().GetResult();
            }
        }
    }
}
