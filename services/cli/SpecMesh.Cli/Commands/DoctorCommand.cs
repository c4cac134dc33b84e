using System.CommandLine;
using System.Text.Json;
using SpecMesh.Cli.Http;
using SpecMesh.Contracts;
using SpecMesh.Speculation.Diagnosis;

namespace SpecMesh.Cli.Commands;

/// <summary><c>specmesh doctor</c>: what is not as recorded, and the repair of what is provably safe. Exit status 1 while something is found.</summary>
public static class DoctorCommand
{
    /// <summary>Longer than two beats and an agent's look at the event streams, so that what was only under way is over.</summary>
    private static readonly TimeSpan BetweenLooks = TimeSpan.FromSeconds(3);

    private const int Operations = 500;

    /// <summary>The command.</summary>
    public static Command Create(GatewayOptions gateway)
    {
        Option<bool> repair = new("--repair") { Description = "Have the hosts put right what is provably safe; the rest is for a person." };
        Command doctor = new("doctor", "List what is not as recorded: guests that nobody owns, owners without a guest, leases without an operation.") { repair };
        doctor.SetAction((parsed, token) => RunAsync(gateway, parsed, parsed.GetValue(repair), token));
        return gateway.AddTo(doctor);
    }

    private static async Task<int> RunAsync(GatewayOptions gateway, ParseResult parsed, bool repair, CancellationToken cancellationToken)
    {
        using GatewayClient client = gateway.Connect(parsed);
        IReadOnlyList<Finding> findings = await FindAsync(client, cancellationToken);
        if (repair)
        {
            foreach (string hostId in findings.Where(finding => finding is { Remedy: Remedy.ReconcileHost, HostId: not null }).Select(finding => finding.HostId!).Distinct(StringComparer.Ordinal))
            {
                await client.PostAsync($"v1/hosts/{hostId}/reconcile", new HostReconcileRequest(), cancellationToken);
            }

            findings = await FindAsync(client, cancellationToken);
        }

        if (parsed.GetValue(gateway.Json))
        {
            Output.Json(findings);
        }
        else if (findings.Count == 0)
        {
            Console.WriteLine("Everything is as recorded.");
        }
        else
        {
            Output.Table(["finding", "what is wrong", "what to do"], findings.Select(finding => (IReadOnlyList<string>)[finding.Code, finding.Detail, Advice(finding)]));
        }

        return findings.Count == 0 ? 0 : 1;
    }

    private static async Task<IReadOnlyList<Finding>> FindAsync(GatewayClient client, CancellationToken cancellationToken)
    {
        IReadOnlyList<Finding> first = Doctor.Examine(await LookAsync(client, cancellationToken), DateTimeOffset.UtcNow);
        await Task.Delay(BetweenLooks, cancellationToken);
        return Doctor.InBoth(first, Doctor.Examine(await LookAsync(client, cancellationToken), DateTimeOffset.UtcNow));
    }

    private static async Task<Look> LookAsync(GatewayClient client, CancellationToken cancellationToken)
    {
        // Hosts first: an operation that began after this look names no host in it.
        HostView[] hosts = await GetAsync<HostView[]>(client, "v1/hosts", cancellationToken);
        VmView[] vms = await GetAsync<VmView[]>(client, "v1/vms", cancellationToken);
        List<OperationView> operations = [.. await GetAsync<OperationView[]>(client, $"v1/operations?limit={Operations}", cancellationToken)];
        IEnumerable<Guid> named = hosts.SelectMany(host => (host.Reservations ?? []).Concat(host.Guests.Select(guest => guest.OperationId).OfType<Guid>()));
        foreach (Guid id in named.Distinct().Except(operations.Select(operation => operation.OperationId)).ToList())
        {
            if (await client.FindAsync($"v1/operations/{id}", cancellationToken) is { } found)
            {
                operations.Add(Read<OperationView>(found));
            }
        }

        return new Look(hosts, vms, operations);
    }

    private static async Task<T> GetAsync<T>(GatewayClient client, string path, CancellationToken cancellationToken) => Read<T>(await client.GetAsync(path, cancellationToken));

    private static T Read<T>(JsonElement answer) => answer.Deserialize<T>(ContractJson.Options) ?? throw new CommandException("The gateway's answer is empty.");

    private static string Advice(Finding finding) => finding.Remedy switch
    {
        Remedy.ReconcileHost => "specmesh doctor --repair",
        Remedy.FenceHost => $"If {finding.HostId} is dead: specmesh host fence {finding.HostId} --confirm {finding.HostId}",
        _ => "Look at the host; nothing recorded says what is right.",
    };
}
