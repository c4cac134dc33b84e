using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using SpecMesh.Contracts;
using SpecMesh.FailureMonitor;
using SpecMesh.Hosting;
using SpecMesh.Services.Tests.Hosting;
using SpecMesh.Services.Tests.ReplicationPolicy;

namespace SpecMesh.Services.Tests.FailureMonitor;

/// <summary>Hosts of a test cluster that are broken on purpose, and no others.</summary>
public class FaultInjectorTests
{
    private static readonly string[] Hosts = ["h1", "h2", "h3", "h4", "h5"];

    private readonly Seen<InjectFault> told = new();
    private readonly ManualTime time = new();
    private readonly Logged log = new();

    [Fact]
    public async Task as_many_hosts_refuse_shells_as_were_asked_for_until_the_monitor_stops()
    {
        HostWatch watch = new(time);
        Array.ForEach(Hosts, hostId => watch.Heard(hostId));
        await using RunningService service = await StartAsync(
            watch, ("AllowFaultInjection", "true"), ("InjectedFailedPercent", "40"), ("InjectedFaultMinSeconds", "80000"), ("InjectedFaultMaxSeconds", "86400"));

        IReadOnlyList<InjectFault> first = await told.NextAsync(2);
        string[] broken = [.. first.Select(fault => fault.HostId).Distinct()];
        Assert.Equal(2, broken.Length);
        Assert.All(first, fault => Assert.Equal(FaultKind.FailStart, fault.Fault));
        Assert.All(first, fault => Assert.InRange(fault.Until!.Value, DateTimeOffset.UtcNow.AddMinutes(-1), DateTimeOffset.UtcNow.AddDays(1)));
        Assert.Equal(LogLevel.Critical, Assert.Single(log.Of(4004, "FAULT INJECTION IS ON: 40 %")).Level);

        await InjectorOf(service).StopAsync(default);
        IReadOnlyList<InjectFault> last = await told.NextAsync(2);
        Assert.Equal(broken.Order(), last.Select(fault => fault.HostId).Order());
        Assert.All(last, fault => Assert.Equal(FaultKind.None, fault.Fault));
    }

    [Fact]
    public async Task nothing_is_broken_unless_it_was_asked_for()
    {
        HostWatch watch = new(time);
        Array.ForEach(Hosts, hostId => watch.Heard(hostId));
        await using RunningService service = await StartAsync(watch, ("AllowFaultInjection", "true"));

        await InjectorOf(service).ExecuteTask!.WaitAsync(Mesh.Patience);

        Assert.Empty(log.Of(4004, "FAULT"));
    }

    [Theory]
    [InlineData("InjectedFailedPercent", "100", "InjectedFailedPercent")]
    [InlineData("InjectedFailedPercent", "-1", "InjectedFailedPercent")]
    [InlineData("InjectedFailedPercent", "NaN", "InjectedFailedPercent")]
    [InlineData("InjectedFaultMinSeconds", "0", "InjectedFaultMinSeconds")]
    [InlineData("InjectedFaultMaxSeconds", "59", "InjectedFaultMaxSeconds")]
    [InlineData("InjectedFaultMaxSeconds", "86401", "InjectedFaultMaxSeconds")]
    [InlineData("AllowFaultInjection", "false", "InjectedFailedPercent")]
    public async Task a_setting_that_makes_no_sense_keeps_it_from_starting(string setting, string value, string named)
    {
        (string, string)[] settings = [("AllowFaultInjection", "true"), ("InjectedFailedPercent", "10"), (setting, value)];

        OptionsValidationException wrong = await Assert.ThrowsAsync<OptionsValidationException>(() => StartAsync(new HostWatch(time), settings));

        Assert.StartsWith($"SpecMesh:FailureMonitor:{named} ", Assert.Single(wrong.Failures), StringComparison.Ordinal);
    }

    private static FaultInjector InjectorOf(RunningService service) => service.Services.GetServices<IHostedService>().OfType<FaultInjector>().Single();

    private Task<RunningService> StartAsync(HostWatch watch, params (string Setting, string Value)[] settings) => RunningService.StartAsync(
        mesh =>
        {
            mesh.AddFailureMonitor();
            foreach (string hostId in Hosts)
            {
                mesh.Endpoint(HostQueue.Of(hostId), host => host.Receive<InjectFault>(Note));
            }

            mesh.Services.AddSingleton(watch);
            mesh.Services.AddSingleton(log.NewProvider());
        },
        settings: [.. settings.Select(setting => ($"SpecMesh:FailureMonitor:{setting.Setting}", setting.Value))]);

    private Task Note(InjectFault fault, HandlerContext context, CancellationToken cancellationToken)
    {
        told.Add(fault);
        return Task.CompletedTask;
    }
}
