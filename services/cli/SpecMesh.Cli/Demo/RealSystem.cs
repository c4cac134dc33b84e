using System.Diagnostics;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Hosting;
using SpecMesh.Cli.Commands;
using SpecMesh.Cli.Up;
using SpecMesh.Contracts;
using SpecMesh.Hosting;

namespace SpecMesh.Cli.Demo;

/// <summary>RabbitMQ, PostgreSQL, services and agents as processes: the system that <c>specmesh up</c> runs, or one that is started for the demonstration.</summary>
internal static class RealSystem
{
    private static readonly TimeSpan StopBound = TimeSpan.FromSeconds(60);

    public static async Task<DemoSystem> OpenAsync(DemoOptions options, string stateDirectory, CancellationToken cancellationToken)
    {
        UpFile? up = UpFile.Read(StateDirectory.UpFileIn(stateDirectory));
        Process? own = null;
        string? temporary = null;
        if (up is null)
        {
            temporary = stateDirectory = Directory.CreateTempSubdirectory("specmesh-demo-").FullName;
            own = StartOwn(temporary);
            up = await WaitUntilUpAsync(own, temporary, cancellationToken);
        }

        HostApplicationBuilder builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Configuration.AddInMemoryCollection(ReadEnvironment(up.EnvironmentFile));
        DemoLogging.Add(builder.Logging, options.Verbose);
        ProgressFeed progress = new();
        builder.AddSpecMesh("demo", ContractCatalogue.All, ContractJson.Options).AddProgressFeed(progress);
        IHost host = builder.Build();
        await host.StartAsync(cancellationToken);
        Dictionary<string, string> stateOf = up.Services.Keys.Where(name => name.StartsWith("host-", StringComparison.Ordinal))
            .ToDictionary(name => name, name => Path.Combine(stateDirectory, name), StringComparer.Ordinal);
        return new DemoSystem(host, progress, stateOf, () => StopOwnAsync(own, temporary));
    }

    private static Process StartOwn(string state)
    {
        ProcessStartInfo start = new(Repository.Dotnet())
        {
            ArgumentList = { typeof(RealSystem).Assembly.Location, "up", "--no-build", "--state", state },
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        Process process = Process.Start(start) ?? throw new CommandException("specmesh up could not be started.");
        process.OutputDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        return process;
    }

    private static async Task<UpFile> WaitUntilUpAsync(Process process, string state, CancellationToken cancellationToken)
    {
        Task<string> errors = process.StandardError.ReadToEndAsync(cancellationToken);
        using PeriodicTimer timer = new(TimeSpan.FromMilliseconds(100));
        while (await timer.WaitForNextTickAsync(cancellationToken))
        {
            if (UpFile.Read(StateDirectory.UpFileIn(state)) is { } up)
            {
                return up;
            }

            if (process.HasExited)
            {
                throw new CommandException($"The system did not come up: {(await errors).Trim()}");
            }
        }

        throw new OperationCanceledException(cancellationToken);
    }

    private static async Task StopOwnAsync(Process? process, string? state)
    {
        if (process is null)
        {
            return;
        }

        using (Process.Start("kill", ["-TERM", process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]))
        using (CancellationTokenSource bound = new(StopBound))
        {
            await process.WaitForExitAsync(bound.Token);
        }

        process.Dispose();
        Directory.Delete(state!, recursive: true);
    }

    private static Dictionary<string, string?> ReadEnvironment(string file) => File.ReadLines(file)
        .Select(line => line.Split('=', 2))
        .ToDictionary(pair => pair[0].Replace("__", ":", StringComparison.Ordinal), string? (pair) => pair[1]);
}
