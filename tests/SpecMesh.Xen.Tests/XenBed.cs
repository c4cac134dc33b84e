using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.RegularExpressions;
using SpecMesh.Cli.Up;
using SpecMesh.Contracts;

namespace SpecMesh.Xen.Tests;

/// <summary>What a guest says of itself on the host that has it. See <c>tests/xenbed/guest/init.c</c>.</summary>
/// <param name="Host">The host.</param>
/// <param name="Domain">Its name there, as xl lists it.</param>
/// <param name="Tick">How far it has counted; null when it has said nothing yet.</param>
/// <param name="BadPages">Pages of its memory that it has found to be lost, damaged or old.</param>
public sealed record Sighting(string Host, string Domain, long? Tick, long BadPages);

/// <summary>Three emulated Xen hosts with agents in their control domains, and the services on this machine. It is driven as a person would: by <c>tests/xenbed/bed</c> and over HTTP.</summary>
public sealed partial class XenBed : IDisposable
{
    /// <summary>The machine that all scenarios move about.</summary>
    public const string Machine = "guest";

    public static readonly IReadOnlyList<string> Hosts = ["hosta", "hostb", "hostc"];

    // Emulated processors that share two cores with everything else: a bound here says that nothing more will come, and never how fast something was.
    private static readonly TimeSpan Bound = TimeSpan.FromMinutes(12);
    private readonly HttpClient? gateway;

    public XenBed()
    {
        if (XenFactAttribute.ReasonAgainst is null)
        {
            UpFile up = UpFile.Read(Path.Combine(Environment.GetEnvironmentVariable("SPECMESH_XENBED_STATE")!, "up.json"))!;
            gateway = new HttpClient { BaseAddress = new Uri(up.Gateway!), Timeout = TimeSpan.FromMinutes(2) };
            gateway.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", File.ReadAllText(up.ApiKeyFile).Trim());
        }
    }

    /// <summary>Moves the machine, raced to so many hosts, or to these.</summary>
    public Task<Guid> MigrateAsync(int sq, params string[] targets) => SubmitAsync(new OperationRequest(
        OperationKind.Migrate, Machine, sq, targets.Length == 0 ? null : targets, new CostLimits(TimeoutSeconds: 600)));

    /// <summary>
    /// A migration to two hosts whose source has suspended the machine and has not sent the last pages: no target can have a complete image before the source is released, however fast
    /// this machine is.
    /// </summary>
    public async Task<(Guid Id, OperationView View)> MigrateUntilSuspendedAsync(string source)
    {
        await ArmAsync([source], "suspended");
        Guid id = await MigrateAsync(2);
        await ReachedAsync([source], "suspended");
        return (id, await UntilAsync(id, view => view.Replicas.Count == 2));
    }

    /// <summary>The host that has the machine; powered on first, raced on two hosts, where it does not run.</summary>
    public async Task<string> OwnerAsync()
    {
        VmView? vm = await FindMachineAsync();
        if (vm?.OwnerHostId is { } owner)
        {
            return owner;
        }

        OperationView started = await EndAsync(await SubmitAsync(new OperationRequest(
            OperationKind.PowerOn, Machine, 2, Cost: new CostLimits(TimeoutSeconds: 300), Vm: new VmDefinition(80 << 20, 0, 1))));
        Assert.True(started.Outcome == OperationOutcome.Succeeded, $"{started}");
        await TickAfterAsync(started.WinnerHostId!, 0);
        return started.WinnerHostId!;
    }

    public async Task<VmView?> FindMachineAsync()
    {
        VmView[] machines = (await gateway!.GetFromJsonAsync<VmView[]>("v1/vms", ContractJson.Options))!;
        return machines.SingleOrDefault(vm => vm.VmId == Machine);
    }

    /// <summary>The operation once this holds.</summary>
    public async Task<OperationView> UntilAsync(Guid id, Func<OperationView, bool> holds)
    {
        OperationView? view = null;
        await UntilAsync(
            async () => holds(view = (await gateway!.GetFromJsonAsync<OperationView>($"v1/operations/{id}", ContractJson.Options))!),
            () => $"the operation stayed {view}: {string.Join(", ", view?.Replicas ?? [])}");
        return view!;
    }

    /// <summary>The operation at its end, when losers are cleaned and the source has let go.</summary>
    public Task<OperationView> EndAsync(Guid id) => UntilAsync(id, view => view.Phase == "Settled");

    /// <summary>The guest has counted beyond this on this host; gives how far.</summary>
    public static async Task<long> TickAfterAsync(string host, long tick)
    {
        Sighting[] seen = [];
        await UntilAsync(
            async () => (seen = await SightingsAsync()).Any(one => one.Host == host && one.Domain == Machine && one.Tick > tick),
            () => $"no tick beyond {tick} on {host}: {string.Join(", ", (object[])seen)}");
        return seen.Single(one => one.Host == host && one.Domain == Machine).Tick!.Value;
    }

    /// <summary>Exactly one host has the machine, under its own name; it counts on beyond a tick with no bad page; nothing of any migration is left on the hosts that run.</summary>
    public static async Task AssertOneRunnerAsync(string owner, long afterTick)
    {
        await TickAfterAsync(owner, afterTick);
        Sighting[] seen = [];
        await UntilAsync(async () => (seen = await SightingsAsync()).Length == 1, () => $"the machine is not on one host only: {string.Join(", ", (object[])seen)}");
        Assert.Equal((owner, Machine, 0), (seen[0].Host, seen[0].Domain, seen[0].BadPages));
        foreach (string host in await RunningAsync())
        {
            (_, string list) = await BedAsync("sh", host, "xl list");
            string[] domains = [.. list.Split('\n', StringSplitOptions.RemoveEmptyEntries).Skip(1).Select(line => line.Split(' ')[0])];
            Assert.Equal(host == owner ? ["Domain-0", Machine] : ["Domain-0"], domains);
        }
    }

    /// <summary>Where the machine is, in whatever shape.</summary>
    public static async Task<Sighting[]> SightingsAsync()
    {
        (_, string said) = await BedAsync("ticks", Machine);
        return [.. Seen().Matches(said).Select(match => new Sighting(
            match.Groups[1].Value,
            match.Groups[2].Value,
            match.Groups[3].Success ? long.Parse(match.Groups[3].Value, CultureInfo.InvariantCulture) : null,
            match.Groups[4].Success ? long.Parse(match.Groups[4].Value, CultureInfo.InvariantCulture) : 0))];
    }

    /// <summary>The hosts that have not crashed.</summary>
    public static async Task<string[]> RunningAsync()
    {
        (_, string said) = await BedAsync("status");
        return [.. said.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(':')[0])];
    }

    /// <summary>Boots a host that has crashed, with its agent, and waits until that beats.</summary>
    public async Task RestartAsync(string host)
    {
        await BedAsync("up", "3");
        await BedAsync("agent", host, "start");
        await BedAsync("vm", Machine);
        await UntilAsync(
            async () => (await gateway!.GetFromJsonAsync<HostView[]>("v1/hosts", ContractJson.Options))!.Any(view => view.HostId == host && view.SecondsSinceBeat < 10),
            () => $"{host} has no agent");
    }

    /// <summary>The agents of these hosts will wait at a step: half a minute at most, or until they are released.</summary>
    public static async Task ArmAsync(IEnumerable<string> hosts, string step)
    {
        foreach (string host in hosts)
        {
            await BedAsync("sh", host, $"mkdir -p /run/specmesh/points; rm -f /run/specmesh/points/*; touch /run/specmesh/points/{host}.{step}");
        }
    }

    /// <summary>Whoever waits goes on.</summary>
    public static async Task ReleaseAsync(IEnumerable<string> hosts)
    {
        foreach (string host in hosts)
        {
            await BedAsync("sh", host, "rm -f /run/specmesh/points/*");
        }
    }

    /// <summary>Waits until an agent stands at the step; gives its host. The others will not wait there any more.</summary>
    public static async Task<string> ReachedAsync(IReadOnlyList<string> hosts, string step)
    {
        string? reached = null;
        async Task<bool> LookAsync()
        {
            foreach (string host in hosts)
            {
                (int status, _) = await BedAsync("sh", host, $"[ -e /run/specmesh/points/{host}.{step}.reached ]");
                reached = status == 0 ? host : reached;
            }

            return reached is not null;
        }

        await UntilAsync(LookAsync, () => $"no agent came to {step}");
        foreach (string host in hosts)
        {
            await BedAsync("sh", host, $"rm -f /run/specmesh/points/{host}.{step}");
        }

        return reached!;
    }

    /// <summary>As <see cref="BedAsync"/>, for a fault, or its end: one that could not be had must not look like one that did no harm.</summary>
    public static async Task StrikeAsync(params string[] arguments)
    {
        (int status, string said) = await BedAsync(arguments);
        Assert.True(status == 0 && !said.Contains("Error", StringComparison.Ordinal), $"{string.Join(' ', arguments)}: {said}");
    }

    /// <summary>Runs <c>tests/xenbed/bed</c>.</summary>
    public static async Task<(int Status, string Said)> BedAsync(params string[] arguments)
    {
        ProcessStartInfo start = new(Path.Combine(Repository.Root()!, "tests/xenbed/bed"), arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, output + await errors);
    }

    public void Dispose() => gateway?.Dispose();

    private static async Task UntilAsync(Func<Task<bool>> holds, Func<string> otherwise)
    {
        Stopwatch waited = Stopwatch.StartNew();
        using PeriodicTimer timer = new(TimeSpan.FromSeconds(2));
        while (!await holds())
        {
            if (waited.Elapsed > Bound)
            {
                // 139 is a violation of memory, which the emulated processor has caused before.
                string[] ends = await Task.WhenAll((await RunningAsync()).Select(async host => $"{host}: {(await BedAsync("agent", host, "ends")).Said.Trim()}"));
                throw new TimeoutException($"{otherwise()}\nagents that ended: {string.Join("; ", ends)}");
            }

            await timer.WaitForNextTickAsync();
        }
    }

    private async Task<Guid> SubmitAsync(OperationRequest request)
    {
        using HttpResponseMessage response = await gateway!.PostAsJsonAsync("v1/operations", request, ContractJson.Options);
        Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync());
        return (await response.Content.ReadFromJsonAsync<OperationAccepted>(ContractJson.Options))!.OperationId;
    }

    [GeneratedRegex(@"^(host[a-i]) (\S+) (?:TICK (\d+) bad=(\d+))?", RegexOptions.Multiline)]
    private static partial Regex Seen();
}
