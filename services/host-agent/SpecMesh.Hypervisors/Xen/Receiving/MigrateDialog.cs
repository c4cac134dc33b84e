using System.Text;

namespace SpecMesh.Hypervisors.Xen.Receiving;

/// <summary>
/// Where the conversation with an <c>xl migrate-receive</c> stands.
/// <code>
///                  banner              tail begins               ready
///  AwaitingBanner ────────> Receiving ────────────> AwaitingReady ────> Ready
///                                                                        │ permit
///                                                                        ↓            report         0
///                                                                  AwaitingReport ──────────> AwaitingCode ──> Running
///                                                                                                   │ not 0
///                                                                                                   ↓          domain given back
///                                                                                             AwaitingReturn ─────────────────> Destroyed
///  the first four ── dismiss ──> Dismissed ── it closes ──> Destroyed          all but the last three ── fault ──> Failed
/// </code>
/// </summary>
public enum DialogPhase
{
    /// <summary>It has not said that it is ready for a migration stream.</summary>
    AwaitingBanner,

    /// <summary>It reads. It has nothing to say.</summary>
    Receiving,

    /// <summary>It has, or is about to have, everything.</summary>
    AwaitingReady,

    /// <summary>Its domain is complete and paused.</summary>
    Ready,

    /// <summary>It was permitted to run its domain: from here on the domain may run whatever it says.</summary>
    AwaitingReport,

    /// <summary>It has begun to say what came of it.</summary>
    AwaitingCode,

    /// <summary>It could not start its domain and destroys it.</summary>
    AwaitingReturn,

    /// <summary>It was told to end and never got the permission; what it says is read until it closes.</summary>
    Dismissed,

    /// <summary>Its domain runs.</summary>
    Running,

    /// <summary>It has ended. Whether it has cleaned up, <see cref="MigrateDialog.Confirmed"/> says.</summary>
    Destroyed,

    /// <summary>It did not keep to the protocol.</summary>
    Failed,
}

/// <summary>
/// The conversation with a stock receiver, as texts that may come in any pieces (<c>tools/xl/xl.h</c> and <c>migrate_receive</c> in <c>tools/xl/xl_migrate.c</c>, Xen 4.17). It
/// holds no more than <see cref="MostText"/> bytes whatever is said. Not safe for concurrent use.
/// </summary>
public sealed class MigrateDialog
{
    /// <summary>Most bytes that a receiver may say once it was dismissed, and most of a wrong text that are kept.</summary>
    public const int MostText = 4096;

    private const int MostQuoted = 80;

    private readonly List<byte> heard = [];

    /// <summary>Where the conversation stands.</summary>
    public DialogPhase Phase { get; private set; } = DialogPhase.AwaitingBanner;

    /// <summary>What went wrong; null unless <see cref="DialogPhase.Failed"/>.</summary>
    public MigrateReceiveException? Failure { get; private set; }

    /// <summary>The code that it reported; null when it reported none.</summary>
    public byte? Code { get; private set; }

    /// <summary>True when it has said itself that its domain is destroyed.</summary>
    public bool Confirmed { get; private set; }

    /// <summary>True when it has said that its domain is complete, whatever became of it since.</summary>
    public bool WasReady { get; private set; }

    /// <summary>True from the moment that the domain may run without anybody here knowing.</summary>
    public bool MayRun => Phase is DialogPhase.AwaitingReport or DialogPhase.AwaitingCode or DialogPhase.Running || (Phase == DialogPhase.Failed && permitted && Code is null);

    private bool permitted;

    /// <summary>Without its terminator, which is not sent.</summary>
    internal static ReadOnlySpan<byte> Banner => "xl migration receiver ready, send binary domain data.\n"u8;

    internal static ReadOnlySpan<byte> Ready => "domain received, ready to unpause\0"u8;

    /// <summary>The permission to run the domain; a receiver that gives its domain up sends the same text back.</summary>
    internal static ReadOnlySpan<byte> Permission => "domain is yours, you are cleared to unpause\0"u8;

    internal static ReadOnlySpan<byte> Report => "my copy unpause results are as follows\0"u8;

    /// <summary>The tail is about to be written: the receiver may say that it is ready.</summary>
    public void TailBegins() => Step(DialogPhase.Receiving, DialogPhase.AwaitingReady);

    /// <summary>The permission is about to be sent.</summary>
    public void Permit()
    {
        Step(DialogPhase.Ready, DialogPhase.AwaitingReport);
        permitted = true;
    }

    /// <summary>The receiver is not wanted: its input is about to be closed. False when it is too late, or over already.</summary>
    public bool Dismiss()
    {
        if (Phase > DialogPhase.Ready)
        {
            return false;
        }

        Phase = DialogPhase.Dismissed;
        return true;
    }

    /// <summary>The receiver did not say in time what it should have said.</summary>
    public void Expire(TimeSpan patience) => Fail(MigrateReceiveFault.NoAnswer, $"The receiver did not answer within {patience.TotalSeconds} s ({Phase}).");

    /// <summary>The receiver says something.</summary>
    public void Hear(ReadOnlySpan<byte> said)
    {
        while (!said.IsEmpty && Phase < DialogPhase.Running)
        {
            said = said[HearSome(said)..];
        }
    }

    /// <summary>The receiver says no more.</summary>
    /// <param name="how">How it ended, for the operator.</param>
    public void Closed(string how)
    {
        if (Phase == DialogPhase.Dismissed)
        {
            Confirmed = heard.Count >= Permission.Length && heard[^Permission.Length..].SequenceEqual(Permission.ToArray());
            Phase = DialogPhase.Destroyed;
        }
        else if (Phase < DialogPhase.Running)
        {
            Fail(MigrateReceiveFault.ClosedEarly, $"The receiver ended ({Phase}): {how}");
        }
    }

    /// <returns>How many bytes were taken.</returns>
    private int HearSome(ReadOnlySpan<byte> said)
    {
        switch (Phase)
        {
            case DialogPhase.AwaitingBanner: return Match(said, Banner, DialogPhase.Receiving);
            case DialogPhase.AwaitingReady: return Match(said, Ready, DialogPhase.Ready);
            case DialogPhase.AwaitingReport: return Match(said, Report, DialogPhase.AwaitingCode);
            case DialogPhase.AwaitingReturn:
                int taken = Match(said, Permission, DialogPhase.Destroyed);
                Confirmed = Phase == DialogPhase.Destroyed;
                return taken;
            case DialogPhase.AwaitingCode:
                Code = said[0];
                Phase = Code == 0 ? DialogPhase.Running : DialogPhase.AwaitingReturn;
                return 1;
            case DialogPhase.Dismissed: return Keep(said);
            default:
                Fail(MigrateReceiveFault.Garbage, $"The receiver had nothing to say ({Phase}), and said: {Quote(said)}");
                return said.Length;
        }
    }

    /// <summary>Compares with a text that is expected whole, piece by piece.</summary>
    private int Match(ReadOnlySpan<byte> said, ReadOnlySpan<byte> expected, DialogPhase next)
    {
        ReadOnlySpan<byte> rest = expected[heard.Count..];
        int length = Math.Min(said.Length, rest.Length);
        if (!said[..length].SequenceEqual(rest[..length]))
        {
            byte[] wrong = [.. heard, .. said[..Math.Min(said.Length, MostQuoted)]];
            Fail(MigrateReceiveFault.Garbage, $"The receiver should have said \"{Quote(expected)}\" ({Phase}), and said: {Quote(wrong)}");
            return said.Length;
        }

        heard.AddRange(said[..length]);
        if (heard.Count == expected.Length)
        {
            heard.Clear();
            Phase = next;
            WasReady |= next == DialogPhase.Ready;
        }

        return length;
    }

    private int Keep(ReadOnlySpan<byte> said)
    {
        if (heard.Count + said.Length > MostText)
        {
            Fail(MigrateReceiveFault.TooLong, $"The receiver was dismissed, and said more than {MostText} bytes since.");
        }
        else
        {
            heard.AddRange(said);
        }

        return said.Length;
    }

    private void Step(DialogPhase from, DialogPhase to)
    {
        if (Phase == DialogPhase.Failed)
        {
            throw Failure!;
        }

        Phase = Phase == from ? to : throw new InvalidOperationException($"The receiver is {Phase}, and not {from}.");
    }

    private void Fail(MigrateReceiveFault fault, string message)
    {
        if (Phase < DialogPhase.Running)
        {
            Failure = new MigrateReceiveException(fault, message, Code);
            Phase = DialogPhase.Failed;
            heard.Clear();
        }
    }

    private static string Quote(ReadOnlySpan<byte> text)
    {
        StringBuilder quoted = new();
        foreach (byte b in text[..Math.Min(text.Length, MostQuoted)])
        {
            quoted.Append(b is >= (byte)' ' and < 0x7f ? (char)b : '.');
        }

        return quoted.ToString();
    }
}
