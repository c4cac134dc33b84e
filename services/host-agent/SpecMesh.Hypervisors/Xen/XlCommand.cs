using System.Diagnostics;
using System.Globalization;
using SpecMesh.Hypervisors.Xen.Format;

namespace SpecMesh.Hypervisors.Xen;

/// <summary>A domain as <c>xl vm-list</c> shows it.</summary>
/// <param name="Uuid">Id of the machine.</param>
/// <param name="DomainId">Id of the domain on this host, in this boot.</param>
/// <param name="Name">Its name; null for one that is being built or taken down.</param>
public sealed record ListedDomain(Guid Uuid, int DomainId, string? Name);

/// <summary>
/// Xen's command line, for what is stable there and not in its libraries. Domains are built without a watching <c>xl</c> process (<c>-e</c>): it would build a machine that
/// reboots again, behind the back of whoever decides where the machine may run.
/// </summary>
/// <param name="program">The program: <c>xl</c>, or where it is.</param>
/// <param name="time">Clock for the limit.</param>
public sealed class XlCommand(string program, TimeProvider time)
{
    private const int MostErrorText = 4096;

    /// <summary>Longest time for one command. Building a large guest takes longest.</summary>
    public TimeSpan Limit { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Runs a command to its end.</summary>
    /// <returns>What it printed.</returns>
    /// <exception cref="HypervisorException">It failed, took too long, or is not there; the message holds what it said.</exception>
    public Task<string> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellationToken) => RunAsync(arguments, Limit, cancellationToken);

    /// <summary>Runs a command to its end, within a limit of its own.</summary>
    /// <returns>What it printed.</returns>
    /// <exception cref="HypervisorException">It failed, took too long, or is not there; the message holds what it said.</exception>
    public async Task<string> RunAsync(IReadOnlyList<string> arguments, TimeSpan within, CancellationToken cancellationToken)
    {
        using System.Diagnostics.Process process = Start(arguments);
        process.StandardInput.Close();
        using CancellationTokenSource limit = new(within, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            Task<string> errors = ReadTailAsync(process.StandardError);
            string output = await process.StandardOutput.ReadToEndAsync(either.Token);
            await process.WaitForExitAsync(either.Token);
            return process.ExitCode == 0
                ? output
                : throw new HypervisorException($"xl {string.Join(' ', arguments)} ended with status {process.ExitCode}: {(await errors).Trim()}");
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            cancellationToken.ThrowIfCancellationRequested();
            throw new HypervisorException($"xl {string.Join(' ', arguments)} did not end within {within.TotalSeconds} s.");
        }
    }

    /// <summary>Starts a command whose input and output are the caller's.</summary>
    /// <exception cref="HypervisorException">The program is not there.</exception>
    public System.Diagnostics.Process Start(IReadOnlyList<string> arguments)
    {
        ProcessStartInfo start = new(program, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        try
        {
            return System.Diagnostics.Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception missing)
        {
            throw new HypervisorException($"{program} cannot be started: {missing.Message}. The agent runs in Xen's control domain, where xl is installed.", missing);
        }
    }

    /// <summary>Every domain of the host that has a machine's id, its own control domain left out.</summary>
    /// <exception cref="HypervisorException">xl failed, or printed something else.</exception>
    public async Task<IReadOnlyList<ListedDomain>> ListAsync(CancellationToken cancellationToken) =>
        [.. (await RunAsync(["vm-list"], cancellationToken)).Split('\n', StringSplitOptions.RemoveEmptyEntries).Skip(1).Select(Parse).Where(domain => domain.DomainId != 0)];

    /// <summary>What a domain was built from.</summary>
    /// <exception cref="HypervisorException">xl failed, or printed something else.</exception>
    public async Task<LibxlConfiguration> ReadConfigurationAsync(int domainId, CancellationToken cancellationToken) =>
        LibxlConfiguration.FromList(await RunAsync(["list", "-l", domainId.ToString(CultureInfo.InvariantCulture)], cancellationToken));

    /// <summary>Memory of the host that no domain has, in bytes.</summary>
    /// <exception cref="HypervisorException">xl failed, or printed something else.</exception>
    public async Task<long> ReadFreeMemoryBytesAsync(CancellationToken cancellationToken)
    {
        string printed = (await RunAsync(["info", "free_memory"], cancellationToken)).Trim();
        return long.TryParse(printed, NumberStyles.None, CultureInfo.InvariantCulture, out long megabytes)
            ? megabytes << 20
            : throw new HypervisorException($"xl info free_memory printed no number: {printed}");
    }

    /// <summary>Ends a domain at once. One that is gone already is no error.</summary>
    public async Task DestroyAsync(int domainId, CancellationToken cancellationToken)
    {
        try
        {
            await RunAsync(["destroy", domainId.ToString(CultureInfo.InvariantCulture)], cancellationToken);
        }
        catch (HypervisorException)
        {
            if ((await ListAsync(cancellationToken)).Any(domain => domain.DomainId == domainId))
            {
                throw;
            }
        }
    }

    /// <summary>Refuses to build a machine that is here.</summary>
    /// <exception cref="HypervisorException">A domain is the machine.</exception>
    public async Task RequireAbsentAsync(string vmId, Func<ListedDomain, bool> isMachine, CancellationToken cancellationToken)
    {
        if ((await ListAsync(cancellationToken)).FirstOrDefault(isMachine) is { } here)
        {
            throw new HypervisorException($"{vmId} is on this host already: domain {here.DomainId}, {here.Name ?? "without a name"}, {here.Uuid}.");
        }
    }

    /// <summary>Ends what an xl that failed or was killed has left, half built. The caller has made sure that there was no domain with this UUID before it began.</summary>
    public async Task DestroyPartsAsync(Guid uuid)
    {
        foreach (ListedDomain part in (await ListAsync(CancellationToken.None)).Where(domain => domain.Uuid == uuid))
        {
            await DestroyAsync(part.DomainId, CancellationToken.None);
        }
    }

    /// <summary>Reads text to its end and keeps the last of it, however much there is.</summary>
    public static async Task<string> ReadTailAsync(StreamReader text)
    {
        char[] buffer = new char[MostErrorText];
        string tail = "";
        int count;
        while ((count = await text.ReadAsync(buffer)) > 0)
        {
            tail = string.Concat(tail, buffer.AsSpan(0, count));
            tail = tail.Length > MostErrorText ? tail[^MostErrorText..] : tail;
        }

        return tail;
    }

    private static ListedDomain Parse(string line)
    {
        string[] fields = line.Split(' ', 3, StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        if (fields.Length >= 2 && Guid.TryParse(fields[0], out Guid uuid) && int.TryParse(fields[1], NumberStyles.None, CultureInfo.InvariantCulture, out int domainId))
        {
            return new ListedDomain(uuid, domainId, fields.Length == 3 && fields[2] != "(null)" ? fields[2] : null);
        }

        throw new HypervisorException($"xl vm-list printed a line that is none of its own: {line}");
    }
}
