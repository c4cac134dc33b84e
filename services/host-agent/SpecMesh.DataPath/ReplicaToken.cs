using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace SpecMesh.DataPath;

/// <summary>
/// The secret that both agents derive for one migration stream from the key of their cluster. It is bound to operation, replica, epoch, machine and memory size,
/// so what one migration stream proves is worth nothing to another. It never travels: each end shows by HMAC-SHA256 over both nonces that it has it.
/// </summary>
public static class ReplicaToken
{
    /// <summary>Bytes of a token and of a proof.</summary>
    public const int Bytes = 32;

    /// <summary>Bytes of a nonce.</summary>
    public const int NonceBytes = 32;

    private const string Context = "specmesh-migration/1|";

    /// <summary>Derives the token of one replica.</summary>
    /// <param name="clusterKey">Key that all agents of the cluster have, at least 16 bytes.</param>
    /// <param name="identity">What the token is bound to.</param>
    public static byte[] Derive(ReadOnlySpan<byte> clusterKey, ReplicaIdentity identity)
    {
        ArgumentNullException.ThrowIfNull(identity);
        ArgumentOutOfRangeException.ThrowIfLessThan(clusterKey.Length, 16);

        // The machine's id comes last because it is the only field that may contain the separator.
        string bound = string.Create(
            CultureInfo.InvariantCulture,
            $"{Context}{identity.Key.OperationId:N}|{identity.Key.Replica}|{identity.Key.Epoch}|{identity.MemoryBytes}|{identity.VmId}");
        return HMACSHA256.HashData(clusterKey, Encoding.UTF8.GetBytes(bound));
    }

    /// <summary>What the source shows to the target.</summary>
    internal static byte[] ProveSource(ReadOnlySpan<byte> token, ReadOnlySpan<byte> sourceNonce, ReadOnlySpan<byte> targetNonce) =>
        Prove(token, "source|"u8, sourceNonce, targetNonce);

    /// <summary>What the target shows to the source. The role is part of it, so that a proof cannot be reflected.</summary>
    internal static byte[] ProveTarget(ReadOnlySpan<byte> token, ReadOnlySpan<byte> sourceNonce, ReadOnlySpan<byte> targetNonce) =>
        Prove(token, "target|"u8, sourceNonce, targetNonce);

    private static byte[] Prove(ReadOnlySpan<byte> token, ReadOnlySpan<byte> role, ReadOnlySpan<byte> sourceNonce, ReadOnlySpan<byte> targetNonce)
    {
        using IncrementalHash hash = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, token);
        hash.AppendData(Encoding.UTF8.GetBytes(Context));
        hash.AppendData(role);
        hash.AppendData(sourceNonce);
        hash.AppendData(targetNonce);
        return hash.GetHashAndReset();
    }
}
