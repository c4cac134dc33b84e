namespace SpecMesh.EventStore;

/// <summary>
/// The database's answer to a commit was lost: it has happened as a whole, or not at all. Load again and decide again: the event streams say which. Never commit the same again
/// without that.
/// </summary>
public sealed class CommitUnknownException : Exception
{
    public CommitUnknownException(string streams, Exception inner)
        : base($"Whether the commit to {streams} happened is unknown: the database did not answer.", inner)
    {
    }
}
