using System.Diagnostics;
using System.Net.Http.Headers;
using SpecMesh.Cli.Up;
using SpecMesh.Contracts;
using SpecMesh.EventStore;

namespace SpecMesh.Integration.Tests;

/// <summary>Needs RabbitMQ and PostgreSQL, given by the environment or installed.</summary>
public sealed class ServersFactAttribute : FactAttribute
{
    public ServersFactAttribute() => Skip = RunningSystemFixture.MissingServers;
}

/// <inheritdoc cref="ServersFactAttribute"/>
public sealed class ServersTheoryAttribute : TheoryAttribute
{
    public ServersTheoryAttribute() => Skip = RunningSystemFixture.MissingServers;
}

/// <summary>The whole system as <c>specmesh up</c> runs it: RabbitMQ, PostgreSQL, five services and five agents, each a process of its own.</summary>
public sealed class RunningSystemFixture : IAsyncLifetime
{
    private static readonly TimeSpan Bound = TimeSpan.FromMinutes(4);
    private readonly string state = Directory.CreateTempSubdirectory("specmesh-it-").FullName;
    private Process? up;

    /// <summary>Why the system cannot be started here; null when it can.</summary>
    public static string? MissingServers
    {
        get
        {
            bool rabbit = Environment.GetEnvironmentVariable("SPECMESH_RABBITMQ") is { Length: > 0 } || PrivateRabbitMq.IsInstalled;
            bool postgres = Environment.GetEnvironmentVariable("SPECMESH_POSTGRES") is { Length: > 0 } || PrivatePostgres.IsInstalled;
            return rabbit && postgres ? null : "RabbitMQ and PostgreSQL are neither given by the environment nor installed.";
        }
    }

    /// <summary>State directory of the system.</summary>
    public string State => state;

    /// <summary>Addresses of the system.</summary>
    public UpFile Up { get; private set; } = new(0, null, "", "", new Dictionary<string, string>());

    /// <summary>The gateway, with a valid key.</summary>
    public HttpClient Gateway { get; private set; } = new();

    /// <summary>URL of the bus.</summary>
    public string Bus { get; private set; } = "";

    /// <summary>The event store.</summary>
    public IEventStore Store { get; private set; } = null!;

    /// <summary>The store's types.</summary>
    public EventTypes Types { get; } = new(ContractCatalogue.All, ContractJson.Options);

    public async Task InitializeAsync()
    {
        if (MissingServers is not null)
        {
            return;
        }

        up = Programs.Start([Programs.PathOf("SpecMesh.Cli", "specmesh"), "up", "--no-build", "--state", state]);
        Task<string> output = up.StandardOutput.ReadToEndAsync();
        Task<string> errors = up.StandardError.ReadToEndAsync();
        Stopwatch waited = Stopwatch.StartNew();
        using PeriodicTimer timer = new(TimeSpan.FromMilliseconds(200));
        UpFile? file = null;
        while (file is null)
        {
            await timer.WaitForNextTickAsync();
            if (up.HasExited || waited.Elapsed > Bound)
            {
                throw new InvalidOperationException($"The system did not come up: {(up.HasExited ? await output + await errors : "it still waits")}");
            }

            file = UpFile.Read(Path.Combine(state, "up.json"));
        }

        Up = file;
        Dictionary<string, string> environment = File.ReadLines(file.EnvironmentFile).Select(line => line.Split('=', 2)).ToDictionary(pair => pair[0], pair => pair[1]);
        Bus = environment["SpecMesh__Bus"];
        Store = StoreConnection.Open(environment["SpecMesh__Store"], Types, TimeProvider.System);
        Gateway = new HttpClient { BaseAddress = new Uri(file.Gateway!), Timeout = TimeSpan.FromMinutes(3) };
        Gateway.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", (await File.ReadAllTextAsync(file.ApiKeyFile)).Trim());
    }

    public async Task DisposeAsync()
    {
        Gateway.Dispose();
        if (Store is IAsyncDisposable store)
        {
            await store.DisposeAsync();
        }

        if (up is not null)
        {
            using (Process.Start("kill", ["-TERM", up.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]))
            using (CancellationTokenSource bound = new(Bound))
            {
                await up.WaitForExitAsync(bound.Token);
            }

            up.Dispose();
        }

        using (StateDirectory stopped = StateDirectory.Take(state))
        {
            // A stopped system keeps its servers' data for its next start; this one has none.
            stopped.DeleteServerHomes();
        }

        Directory.Delete(state, recursive: true);
    }
}

/// <summary>Tests that share one running system, one after the other.</summary>
[CollectionDefinition(Name)]
public sealed class RunningSystemCollection : ICollectionFixture<RunningSystemFixture>
{
    public const string Name = "running system";
}
