namespace SpecMesh.DataPath.Tests;

/// <summary>A shell around memory that is there already. It keeps what the source says beside the pages.</summary>
internal sealed class ShellOf(IGuestMemory memory) : IImageShell
{
    /// <summary>What came before the first page; null before.</summary>
    public byte[]? Setup { get; private set; }

    /// <summary>What came with each complete image, in order.</summary>
    public List<byte[]> States { get; } = [];

    public int Reopened { get; private set; }

    /// <summary>Runs in each call, named <c>open</c>, <c>complete</c> or <c>reopen</c>.</summary>
    public Action<string, CancellationToken> During { get; init; } = (_, _) => { };

    public IGuestMemory Open(long pageCount, ReadOnlySpan<byte> setup, CancellationToken cancellationToken)
    {
        Setup = setup.ToArray();
        During("open", cancellationToken);
        return memory;
    }

    public void Complete(ReadOnlySpan<byte> state, CancellationToken cancellationToken)
    {
        States.Add(state.ToArray());
        During("complete", cancellationToken);
    }

    public void Reopen()
    {
        Reopened++;
        During("reopen", CancellationToken.None);
    }
}
