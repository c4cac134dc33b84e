namespace SpecMesh.DataPath;

/// <summary>
/// The one log of pages that a guest has written, kept by its hypervisor or kernel. It has one consumer, because every harvest clears it.
/// </summary>
public interface IDirtyLog : IDisposable
{
    /// <summary>Name of the tracker, for the operator: <c>pagemap-scan</c>.</summary>
    string Name { get; }

    /// <summary>Begins to track. Writes from here on are reported by the next harvest.</summary>
    /// <exception cref="DirtyLogException">The tracker does not work here.</exception>
    void Start();

    /// <summary>
    /// ORs every page written since the last harvest into <paramref name="into"/>, clears the log and tracks on. A page that is read after this call returns
    /// holds at least what was written before the call: clear first, then read.
    /// </summary>
    /// <exception cref="DirtyLogException">The log may have lost pages: every page must be taken for dirty.</exception>
    void Harvest(PageBitmap into);

    /// <summary>Stops tracking. Only when no replica is left.</summary>
    void Stop();
}

/// <summary>A dirty log that cannot be trusted any more, or cannot work on this kernel.</summary>
public sealed class DirtyLogException(string message, Exception? inner = null) : Exception(message, inner);
