using System.Globalization;
using System.Text;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Native;

namespace SpecMesh.Hypervisors.Process.Guest;

/// <summary>What a guest process is told when it is started, as its command line.</summary>
/// <param name="Name">Name of the guest on its host.</param>
/// <param name="MemoryBytes">Bytes of its memory.</param>
/// <param name="Tracker">Name of its dirty tracker.</param>
/// <param name="PowerOn">True: a machine's first state; false: zeros.</param>
/// <param name="Seed">For a power-on: the seed.</param>
/// <param name="WritePagesPerSecond">For a power-on: pages written in a second.</param>
/// <param name="InitialisedFraction">For a power-on: share of the pages that hold something from the beginning, 0 to 1.</param>
internal sealed record GuestOptions(
    string Name,
    long MemoryBytes,
    string Tracker,
    bool PowerOn,
    ulong Seed,
    double WritePagesPerSecond,
    double InitialisedFraction)
{
    public const string Verb = "guest";
    private const int ArgumentCount = 8;

    public IReadOnlyList<string> ToArguments() =>
    [
        Verb, Name, Text($"{MemoryBytes}"), Tracker, PowerOn ? "power-on" : "shell", Text($"{Seed}"), Text($"{WritePagesPerSecond:R}"), Text($"{InitialisedFraction:R}"),
    ];

    /// <returns>Null when the arguments are not those of a guest.</returns>
    public static GuestOptions? Parse(IReadOnlyList<string> arguments)
    {
        CultureInfo invariant = CultureInfo.InvariantCulture;
        return arguments.Count == ArgumentCount
            && arguments[0] == Verb
            && long.TryParse(arguments[2], NumberStyles.None, invariant, out long bytes)
            && ulong.TryParse(arguments[5], NumberStyles.None, invariant, out ulong seed)
            && double.TryParse(arguments[6], NumberStyles.Float, invariant, out double rate)
            && double.TryParse(arguments[7], NumberStyles.Float, invariant, out double initialised)
            ? new GuestOptions(arguments[1], bytes, arguments[3], arguments[4] == "power-on", seed, rate, initialised)
            : null;
    }

    private static string Text(FormattableString value) => FormattableString.Invariant(value);
}

/// <summary>
/// The guest process. It says <c>ready memoryFd memoryAddress controlFd</c> or <c>refused why</c> on its standard output and waits for one line on its standard
/// input: an agent that dies before it has stored where the guest is leaves none behind. From then on the guest has no tie to its agent.
/// </summary>
internal static class GuestProcess
{
    public const string Ready = "ready";
    public const string Refused = "refused";
    public const string Keep = "keep\n";

    public const int ExitNotKept = 3;
    private const int ExitRefused = 2;

    public static int Run(GuestOptions options)
    {
        Libc.LeaveSession();
        try
        {
            Serve(options);
            return ExitNotKept;
        }
        catch (NativeException e)
        {
            // Over the pipe, while there still is one; an error later ends the process, which its agent sees.
            Say($"{Refused} {Explain(e, options.MemoryBytes)}");
            return ExitRefused;
        }
    }

    private static string Explain(NativeException e, long memoryBytes) =>
        e.Errno is Libc.Enomem or Libc.Enospc ? $"the host has no {memoryBytes} bytes of memory left ({e.Message})" : e.Message;

    /// <summary>Returns only when nobody keeps the guest.</summary>
    private static void Serve(GuestOptions options)
    {
        long pageCount = options.MemoryBytes / IGuestMemory.PageBytes;
        using var memoryFile = Libc.CreateMemory($"specmesh-{options.Name}", options.MemoryBytes);
        Libc.Allocate(memoryFile, options.MemoryBytes);
        using SharedMapping memory = SharedMapping.Map(memoryFile, options.MemoryBytes);

        long controlBytes = ControlBlock.Bytes(pageCount);
        using var controlFile = Libc.CreateMemory($"specmesh-control-{options.Name}", controlBytes);
        Libc.Allocate(controlFile, controlBytes);
        using SharedMapping control = SharedMapping.Map(controlFile, controlBytes);

        if (options.PowerOn)
        {
            PowerOn(memory, options);
        }

        // The write protection comes after the first state, which is written by managed code.
        using Userfaultfd? tracker = OpenTracker(options.Tracker, memory);
        FaultHandler? faults = null;
        if (tracker is not null && options.Tracker == DirtyTrackerChoice.Userfaultfd.Name())
        {
            faults = new FaultHandler(tracker, control, pageCount);
            new Thread(faults.Run) { Name = "faults", IsBackground = true }.Start();
        }

        Say(FormattableString.Invariant($"{Ready} {memoryFile.DangerousGetHandle()} {memory.Address} {controlFile.DangerousGetHandle()}"));
        if (!IsKept())
        {
            return;
        }

        Libc.CloseStandardStreams();
        new ControlServer(memory, control, faults).Run();
    }

    private static void PowerOn(SharedMapping memory, GuestOptions options)
    {
        GuestHeader header = GuestImage.PowerOn(
            options.Seed, options.MemoryBytes / IGuestMemory.PageBytes, options.WritePagesPerSecond, options.InitialisedFraction);
        using SharedMapping.Lease lease = memory.Use();
        for (long page = 1; page <= (long)header.InitialisedPages; page++)
        {
            GuestImage.Fill(lease.Words(page * IGuestMemory.PageBytes, GuestImage.WordsPerPage), header.Seed, page, 0);
        }

        System.Runtime.InteropServices.MemoryMarshal.Write(lease.Bytes(0, IGuestMemory.PageBytes), in header);
    }

    private static Userfaultfd? OpenTracker(string name, SharedMapping memory)
    {
        if (name == DirtyTrackerChoice.PagemapScan.Name())
        {
            return Userfaultfd.RegisterAsynchronous(memory.Address, memory.Length);
        }

        return name == DirtyTrackerChoice.Userfaultfd.Name() ? Userfaultfd.RegisterSynchronous(memory.Address, memory.Length) : null;
    }

    private static void Say(string line)
    {
        using Stream output = Console.OpenStandardOutput();
        output.Write(Encoding.UTF8.GetBytes(line.ReplaceLineEndings(" ") + "\n"));
    }

    private static bool IsKept()
    {
        Span<byte> answer = stackalloc byte[Keep.Length];
        using Stream input = Console.OpenStandardInput();
        return input.ReadAtLeast(answer, answer.Length, throwOnEndOfStream: false) == answer.Length && answer.SequenceEqual(Encoding.ASCII.GetBytes(Keep));
    }
}
