using SpecMesh.Cli.Up;

namespace SpecMesh.Cli.Tests;

/// <summary>Runs where Debian's servers are installed; elsewhere it is skipped by name.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class NeedsServersFactAttribute : FactAttribute
{
    public NeedsServersFactAttribute()
    {
        if (!PrivateRabbitMq.IsInstalled || !PrivatePostgres.IsInstalled)
        {
            Skip = "Debian's rabbitmq-server and postgresql are not installed.";
        }
    }
}

/// <summary>The private RabbitMQ and PostgreSQL: they start without anything prepared, keep their data, and leave no process.</summary>
public sealed class PrivateServerTests
{
    [NeedsServersFact]
    public async Task servers_start_with_passwords_of_their_own_and_leave_no_process()
    {
        string directory = Directory.CreateTempSubdirectory("specmesh-servers-").FullName;
        using CancellationTokenSource bound = new(TimeSpan.FromMinutes(5));
        using StateDirectory state = StateDirectory.Take(directory);
        string runId = Guid.NewGuid().ToString("N");
        List<string> reports = [];
        await using (Supervisor supervisor = new(runId, new ProcessLedger(state.Ledger, runId), reports.Add))
        {
            LoopbackPorts ports = new();
            PrivateRabbitMq rabbit = await PrivateRabbitMq.StartAsync(supervisor, state, ports, null, bound.Token);
            PrivatePostgres postgres = await PrivatePostgres.StartAsync(supervisor, state, ports, null, bound.Token);
            Assert.Null(await rabbit.ProbeAsync(bound.Token));
            Assert.Null(await postgres.ProbeAsync(bound.Token));
            Assert.Matches("^rabbitmq://specmesh:[0-9a-f]{32}@127.0.0.1:[0-9]+/$", rabbit.Url);
            Assert.Matches("^postgres://specmesh:[0-9a-f]{32}@127.0.0.1:[0-9]+/specmesh$", postgres.Url);
            Assert.Contains(ProcessTable.WithVariable(Supervisor.RunVariable, runId), process => process.Name == "epmd");
        }

        Assert.Empty(ProcessTable.WithVariable(Supervisor.RunVariable, runId));
        Assert.Empty(reports);
        state.DeleteServerHomes();
        Directory.Delete(directory, recursive: true);
    }
}
