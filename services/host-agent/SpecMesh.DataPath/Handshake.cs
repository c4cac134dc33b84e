using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace SpecMesh.DataPath;

/// <summary>
/// The opening of a migration stream. The source says who it is and sends a nonce; the target answers with a nonce and its proof; the source answers with its proof; the
/// target says welcome. Until then nothing is applied, no buffer beyond a kilobyte is held, and the target's session is not occupied.
/// </summary>
internal static class Handshake
{
    private const int FixedBytes = 16 + 4 + 4 + 8 + ReplicaToken.NonceBytes + 1;

    /// <summary>Payload of a hello: operation id 16 (big endian), replica u32, epoch u32, memory bytes u64, nonce 32, length of the VM's id u8, the id in UTF-8.</summary>
    public static int HelloBytes(int vmIdBytes) => FixedBytes + vmIdBytes;

    /// <summary>The source's side.</summary>
    /// <exception cref="MigrationException">The target is not who it should be, or does not speak this format.</exception>
    public static void Connect(RecordConnection records, ReplicaIdentity identity, ReadOnlySpan<byte> token)
    {
        byte[] nonce = RandomNumberGenerator.GetBytes(ReplicaToken.NonceBytes);
        records.Write(RecordType.Hello, WriteHello(identity, nonce));
        records.Read(RecordType.Challenge);
        byte[] targetNonce = records.Payload[..ReplicaToken.NonceBytes].ToArray();
        byte[] expected = ReplicaToken.ProveTarget(token, nonce, targetNonce);
        if (!CryptographicOperations.FixedTimeEquals(records.Payload[ReplicaToken.NonceBytes..], expected))
        {
            throw new MigrationException(MigrationFault.Unauthenticated, "The target did not prove that it belongs to this replica.");
        }

        records.Write(RecordType.Proof, ReplicaToken.ProveSource(token, nonce, targetNonce));
        records.Read(RecordType.Welcome);
    }

    /// <summary>The target's side, up to the point where the source has proved itself. The caller says welcome once the session is the source's.</summary>
    /// <param name="find">Gives what is expected under a key, or null.</param>
    /// <exception cref="MigrationException">The source is not expected, or did not prove itself.</exception>
    public static TSession Accept<TSession>(RecordConnection records, Func<ReplicaKey, TSession?> find, Func<TSession, (ReplicaIdentity Identity, byte[] Token)> secret)
        where TSession : class
    {
        records.Read(RecordType.Hello);
        (ReplicaIdentity claimed, byte[] sourceNonce) = ReadHello(records.Payload);
        TSession session = find(claimed.Key)
            ?? throw new MigrationException(MigrationFault.Unauthenticated, $"No replica {claimed.Key.Replica} of operation {claimed.Key.OperationId} is expected in epoch {claimed.Key.Epoch}.");
        (ReplicaIdentity identity, byte[] token) = secret(session);
        if (claimed != identity)
        {
            throw new MigrationException(MigrationFault.Unauthenticated, "The source names another machine or another memory size.");
        }

        byte[] challenge = new byte[ReplicaToken.NonceBytes + ReplicaToken.Bytes];
        RandomNumberGenerator.Fill(challenge.AsSpan(0, ReplicaToken.NonceBytes));
        ReadOnlySpan<byte> nonce = challenge.AsSpan(0, ReplicaToken.NonceBytes);
        ReplicaToken.ProveTarget(token, sourceNonce, nonce).CopyTo(challenge, ReplicaToken.NonceBytes);
        records.Write(RecordType.Challenge, challenge);
        records.Read(RecordType.Proof);
        if (!CryptographicOperations.FixedTimeEquals(records.Payload, ReplicaToken.ProveSource(token, sourceNonce, nonce)))
        {
            throw new MigrationException(MigrationFault.Unauthenticated, "The source did not prove that it belongs to this replica.");
        }

        return session;
    }

    /// <summary>The payload of a hello.</summary>
    public static byte[] WriteHello(ReplicaIdentity identity, byte[] nonce)
    {
        byte[] vmId = Encoding.UTF8.GetBytes(identity.VmId);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(vmId.Length, ReplicaIdentity.MaxVmIdBytes);
        byte[] hello = new byte[HelloBytes(vmId.Length)];
        identity.Key.OperationId.TryWriteBytes(hello, bigEndian: true, out _);
        BinaryPrimitives.WriteInt32LittleEndian(hello.AsSpan(16), identity.Key.Replica);
        BinaryPrimitives.WriteInt32LittleEndian(hello.AsSpan(20), identity.Key.Epoch);
        BinaryPrimitives.WriteInt64LittleEndian(hello.AsSpan(24), identity.MemoryBytes);
        nonce.CopyTo(hello, 32);
        hello[64] = (byte)vmId.Length;
        vmId.CopyTo(hello, FixedBytes);
        return hello;
    }

    private static (ReplicaIdentity Identity, byte[] Nonce) ReadHello(ReadOnlySpan<byte> hello)
    {
        if (hello[64] != hello.Length - FixedBytes)
        {
            throw new MigrationException(MigrationFault.Malformed, "The machine's id does not have the length that the hello says.");
        }

        ReplicaKey key = new(
            new Guid(hello[..16], bigEndian: true), BinaryPrimitives.ReadInt32LittleEndian(hello[16..]), BinaryPrimitives.ReadInt32LittleEndian(hello[20..]));
        string vmId = Encoding.UTF8.GetString(hello[FixedBytes..]);
        return (new ReplicaIdentity(key, vmId, BinaryPrimitives.ReadInt64LittleEndian(hello[24..])), hello.Slice(32, ReplicaToken.NonceBytes).ToArray());
    }
}
