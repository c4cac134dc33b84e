using SpecMesh.Contracts;
using SpecMesh.Speculation.SpecOps;

namespace SpecMesh.Protocol.Tests.Hosts;

/// <summary>A complete image as its target's journal holds it.</summary>
internal sealed record KeptImage(StartReplica Command, int Incarnation, string Digest, long OwnershipVersion);

/// <summary>What is on an agent's disk: the votes that it gave as a source, and the complete images that it holds as a target. The same content as the agent's own journal.</summary>
internal sealed class AgentJournal
{
    private readonly Dictionary<string, JournaledVote> votes = new(StringComparer.Ordinal);
    private readonly Dictionary<(Guid, int), KeptImage> images = [];

    public int Count => votes.Count + images.Count;

    /// <summary>True when an earlier agent has used the host's state directory.</summary>
    public bool WasThere { get; set; } = true;

    /// <summary>The disk is gone with its host.</summary>
    public void Lose()
    {
        votes.Clear();
        images.Clear();
        WasThere = false;
    }

    public void WriteVote(string vmId, JournaledVote vote) => votes[vmId] = vote;

    public JournaledVote? ReadVote(string vmId) => votes.GetValueOrDefault(vmId);

    public IReadOnlyList<string> VotedMachines => [.. votes.Keys];

    public void ClearVote(string vmId, Guid operationId)
    {
        if (ReadVote(vmId)?.OperationId == operationId)
        {
            votes.Remove(vmId);
        }
    }

    public void WriteImage(KeptImage image) => images[(image.Command.OperationId, image.Command.Replica)] = image;

    public KeptImage? ReadImage(Guid operationId, int replica) => images.GetValueOrDefault((operationId, replica));

    public void ClearImage(Guid operationId, int replica) => images.Remove((operationId, replica));

    public void ForgetAllBut(IReadOnlySet<string> vmIds, IReadOnlySet<(Guid, int)> shells)
    {
        foreach (string gone in votes.Keys.Where(vmId => !vmIds.Contains(vmId)).ToList())
        {
            votes.Remove(gone);
        }

        foreach ((Guid, int) gone in images.Keys.Where(shell => !shells.Contains(shell)).ToList())
        {
            images.Remove(gone);
        }
    }

    public override string ToString() => string.Join(", ", votes.Select(vote => $"vote for {vote.Key}").Concat(images.Select(image => $"image {image.Key}")));
}
