using System.Security.Cryptography;
using System.Text;

namespace SpecMesh.Hosting;

/// <summary>
/// How an agent shows that it belongs to the cluster and which host it speaks for: <c>SpecMesh {hostId}:{HMAC-SHA256 of the host id under the cluster key, in hexadecimal}</c>
/// in the header <c>Authorization</c>. The key itself never travels; the connection is loopback, or protected by the mesh's sidecar.
/// </summary>
public static class AgentCredential
{
    private const string Scheme = "SpecMesh ";
    private const string Context = "specmesh-agent/1|";

    /// <summary>The header's value for one host.</summary>
    public static string For(string hostId, string clusterKey) => $"{Scheme}{hostId}:{Convert.ToHexStringLower(ProofOf(hostId, clusterKey))}";

    /// <summary>The host that the header proves; null when it proves none.</summary>
    public static string? HostOf(string header, string clusterKey)
    {
        if (!header.StartsWith(Scheme, StringComparison.Ordinal) || header.LastIndexOf(':') is var colon && colon < Scheme.Length)
        {
            return null;
        }

        string hostId = header[Scheme.Length..colon];
        Span<byte> proof = stackalloc byte[HMACSHA256.HashSizeInBytes];
        ReadOnlySpan<char> shown = header.AsSpan(colon + 1);
        bool wellFormed = shown.Length == 2 * proof.Length && Convert.FromHexString(shown, proof, out _, out _) == System.Buffers.OperationStatus.Done;
        return wellFormed && CryptographicOperations.FixedTimeEquals(proof, ProofOf(hostId, clusterKey)) ? hostId : null;
    }

    private static byte[] ProofOf(string hostId, string clusterKey) => HMACSHA256.HashData(Encoding.UTF8.GetBytes(clusterKey), Encoding.UTF8.GetBytes(Context + hostId));
}
