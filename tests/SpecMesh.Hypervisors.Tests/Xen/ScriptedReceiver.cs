using System.IO.Pipes;
using SpecMesh.Contracts;
using SpecMesh.Hypervisors.Xen.Receiving;

namespace SpecMesh.Hypervisors.Tests.Xen;

/// <summary>The other end of a handshake: says what a test wants, and keeps what it is told. The texts are written down from <c>tools/xl/xl.h</c> once more.</summary>
internal sealed class ScriptedReceiver : IAsyncDisposable
{
    public const string Banner = "xl migration receiver ready, send binary domain data.\n";
    public const string Ready = "domain received, ready to unpause\0";
    public const string Permission = "domain is yours, you are cleared to unpause\0";
    public const string Report = "my copy unpause results are as follows\0";

    public static readonly GuestTag Tag = new("vm-1", Guid.Parse("6f9619ff-8b86-d011-b42d-00c04fc964ff"), 1, 2);

    /// <summary>Short, because in these tests an answer is either there or never comes.</summary>
    public static readonly TimeSpan NoPatience = TimeSpan.FromMilliseconds(50);

    private readonly AnonymousPipeServerStream output = new(PipeDirection.Out);
    private readonly AnonymousPipeServerStream input = new(PipeDirection.In);
    private readonly MemoryStream heard = new();
    private readonly Task hearing;

    public ScriptedReceiver(HandshakeLimits? limits = null)
    {
        AnonymousPipeClientStream toReceiver = new(PipeDirection.Out, input.ClientSafePipeHandle);
        AnonymousPipeClientStream fromReceiver = new(PipeDirection.In, output.ClientSafePipeHandle);
        Handshake = new MigrateHandshake(Tag, toReceiver, fromReceiver, TimeProvider.System, limits ?? new HandshakeLimits());
        hearing = input.CopyToAsync(heard);
    }

    public MigrateHandshake Handshake { get; }

    public static DurableCommit Commit => CommitOf(Tag);

    public static CancellationToken None => CancellationToken.None;

    /// <summary>What an ownership event stream shows that a replica has won on host-b.</summary>
    public static DurableCommit CommitOf(GuestTag winner) => DurableCommit.Of(View(winner), "host-b");

    public static OwnershipView View(GuestTag winner) => new(winner.VmId, 9, null, winner.Epoch + 1, "host-b", winner.OperationId, winner.OperationId, winner.Replica);

    /// <summary>Everything that it was sent, once its input is closed.</summary>
    public async Task<string> HeardAsync()
    {
        await hearing;
        return System.Text.Encoding.ASCII.GetString(heard.ToArray());
    }

    public void Say(string text) => output.Write(System.Text.Encoding.Latin1.GetBytes(text));

    public void Close() => output.Dispose();

    /// <summary>As far as a complete, paused domain.</summary>
    public async Task BecomeReadyAsync()
    {
        Say(Banner);
        await Handshake.AwaitBannerAsync(None);
        Handshake.TailBegins();
        Say(Ready);
        await Handshake.AwaitReadyAsync(None);
    }

    /// <summary>What a stock receiver says when its input ends while it waits for the permission.</summary>
    public void GiveDomainBack(char code = '\u00ff')
    {
        Say(Report + code);
        Say(Permission);
        Close();
    }

    public async ValueTask DisposeAsync()
    {
        Close();
        await Handshake.DisposeAsync();
        await hearing;
        await input.DisposeAsync();
    }
}
