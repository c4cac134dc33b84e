using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Text;

namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>
/// Follows one connection's PostgreSQL messages (protocol 3.0, "Message Flow") just far enough to know when a commit's answer comes back. One that is armed breaks the
/// connection then: the commit has happened, and whoever asked for it never hears of it.
/// </summary>
/// <param name="process">Who connects.</param>
public sealed class CommitWatch(string process) : IStreamWatch
{
    private static readonly ConcurrentDictionary<string, bool> Armed = new(StringComparer.Ordinal);
    private static readonly ConcurrentDictionary<string, bool> Struck = new(StringComparer.Ordinal);
    private readonly HashSet<string> appends = new(StringComparer.Ordinal);
    private readonly List<byte> unread = [];
    private readonly Lock gate = new();
    private bool started;
    private bool committing;

    /// <summary>The next commit of the process that appends events loses its answer.</summary>
    public static void Arm(string process)
    {
        Struck.TryRemove(process, out _);
        Armed[process] = true;
    }

    public static void DisarmAll() => Armed.Clear();

    /// <summary>True once the process has lost an answer.</summary>
    public static bool HasStruck(string process) => Struck.ContainsKey(process);

    public bool Cuts(ReadOnlySpan<byte> bytes, bool toServer)
    {
        lock (gate)
        {
            if (toServer)
            {
                unread.AddRange(bytes);
                ReadMessages();
                return false;
            }

            if (!committing || !HasEnded(bytes))
            {
                return false;
            }

            committing = false;
            if (!Armed.TryRemove(process, out _))
            {
                return false;
            }

            Struck[process] = true;
            return true;
        }
    }

    /// <summary>The answer's last message is ReadyForQuery with the status "idle": the implicit transaction of the batch is over.</summary>
    private static bool HasEnded(ReadOnlySpan<byte> bytes) => bytes.EndsWith("Z\0\0\0\u0005I"u8);

    private void ReadMessages()
    {
        int at = 0;
        byte[] bytes = [.. unread];
        while (Next(bytes, at) is { } end)
        {
            if (started)
            {
                Read((char)bytes[at], bytes.AsSpan(at + 5, end - at - 5));
            }
            else
            {
                // The startup message has no type. One that asks for encryption comes before it, and the server answers it with a single letter.
                started = BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(at + 4)) == 196_608;
            }

            at = end;
        }

        unread.RemoveRange(0, at);
    }

    private int? Next(byte[] bytes, int at)
    {
        int header = started ? 1 : 0;
        if (bytes.Length < at + header + 4)
        {
            return null;
        }

        int end = at + header + BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(at + header));
        return end <= bytes.Length ? end : null;
    }

    private void Read(char type, ReadOnlySpan<byte> body)
    {
        switch (type)
        {
            case 'P':
                string name = Text(ref body);
                if (Text(ref body).Contains("append_events", StringComparison.Ordinal))
                {
                    appends.Add(name);
                }
                else
                {
                    appends.Remove(name);
                }

                break;
            case 'B':
                Text(ref body);
                committing |= appends.Contains(Text(ref body));
                break;
        }
    }

    private static string Text(ref ReadOnlySpan<byte> body)
    {
        int end = body.IndexOf((byte)0);
        string text = Encoding.UTF8.GetString(body[..end]);
        body = body[(end + 1)..];
        return text;
    }
}
