using System.Text;
using SpecMesh.DataPath;

namespace SpecMesh.Services.Tests.HostAgent;

/// <summary>A target that takes every page and then never says that it is ready, so that the source's guest stands still for it.</summary>
internal sealed class StuckTarget : IAsyncDisposable
{
    private readonly MigrationListener listener = MigrationListener.Start(new MigrationListenerOptions(), TimeProvider.System);
    private readonly TaskCompletionSource complete = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ManualResetEventSlim goOn = new();

    public StuckTarget(Operation operation, string clusterKey)
    {
        ReplicaIdentity identity = new(new ReplicaKey(operation.Id, 0, operation.Epoch), operation.VmId, AgentMesh.Vm.MemoryBytes);
        MigrationReceiver receiver = listener.Expect(identity, ReplicaToken.Derive(Encoding.UTF8.GetBytes(clusterKey), identity), new PlainMemory(AgentMesh.Vm.MemoryBytes), null, _ =>
        {
            complete.SetResult();
            goOn.Wait();
        });
        Events = Task.Run(async () =>
        {
            await foreach (ReceiverEvent _ in receiver.Events.ReadAllAsync())
            {
            }
        });
    }

    /// <summary>Ends when the source has given the target up.</summary>
    public Task Events { get; }

    public string Endpoint => listener.Endpoint.ToString();

    /// <summary>Every page has arrived, so the guest stands still.</summary>
    public Task Complete => complete.Task;

    public async ValueTask DisposeAsync()
    {
        goOn.Set();
        await listener.DisposeAsync();
        await Events;
        goOn.Dispose();
    }

    private sealed class PlainMemory(long bytes) : IGuestMemory, IImageShell
    {
        private readonly byte[] pages = new byte[bytes];

        public long PageCount => pages.Length / IGuestMemory.PageBytes;

        public IGuestMemory Open(long pageCount, ReadOnlySpan<byte> setup, CancellationToken cancellationToken) => this;

        public void Complete(ReadOnlySpan<byte> state, CancellationToken cancellationToken)
        {
        }

        public void Reopen()
        {
        }

        public void Read(long firstPage, Span<byte> destination) => pages.AsSpan((int)(firstPage * IGuestMemory.PageBytes), destination.Length).CopyTo(destination);

        public void Write(long firstPage, ReadOnlySpan<byte> source) => source.CopyTo(pages.AsSpan((int)(firstPage * IGuestMemory.PageBytes)));

        public void Zero(long firstPage, long count) => pages.AsSpan((int)(firstPage * IGuestMemory.PageBytes), (int)(count * IGuestMemory.PageBytes)).Clear();
    }
}
