using SpecMesh.Cli.Up;

namespace SpecMesh.Cli.Tests;

/// <summary><c>specmesh up</c> with placeholder services: starting, watching, stopping, and dying.</summary>
public sealed class UpTests
{
    private const string Up = "Ctrl-C stops it";

    [Fact]
    public async Task services_get_each_others_addresses_and_the_secrets_and_are_stopped_at_the_end()
    {
        await using UpProcess up = UpProcess.Start(
            ("gateway", "ready", "  env:\n  - SpecMesh__ApiKeys__0__Key\n  - name: BACK\n    value: http://${service:back:host}:${service:back:port}\n"),
            ("back", "ready", "  env:\n  - SpecMesh__GatewayKey\n"));
        await up.UntilAsync(Up);

        UpFile file = UpFile.Read(Path.Combine(up.State, "up.json"))!;
        Assert.Equal(up.Pid, file.Pid);
        string gatewayKey = (await File.ReadAllTextAsync(Path.Combine(up.State, "gateway-key"))).Trim();
        Assert.Equal(gatewayKey, await up.AskAsync("back", "/environment/SpecMesh__GatewayKey"));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(up.State, "gateway-key")));
        Assert.Equal(file.Services["gateway"], file.Gateway);
        Assert.Equal(file.Services["back"], await up.AskAsync("gateway", "/environment/BACK"));
        string key = (await File.ReadAllTextAsync(file.ApiKeyFile)).Trim();
        Assert.Equal(key, await up.AskAsync("gateway", "/environment/SpecMesh__ApiKeys__0__Key"));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file.ApiKeyFile));

        IReadOnlyList<KnownProcess> children = up.Children();
        // Twice, as it comes when a terminal and a program in between both send it.
        ProcessTable.Signal(up.Pid, "INT");
        ProcessTable.Signal(up.Pid, "INT");
        (int status, _) = await up.EndAsync();
        Assert.Equal(0, status);
        Assert.Equal(["back", "gateway"], children.Select(child => child.Name).Order(StringComparer.Ordinal));
        Assert.DoesNotContain(children, ProcessTable.IsRunning);
        Assert.False(File.Exists(Path.Combine(up.State, "up.json")));
        Assert.DoesNotContain(key, up.Output, StringComparison.Ordinal);
        Assert.DoesNotContain(gatewayKey, up.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("left behind", up.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task a_service_that_dies_is_reported_and_started_again()
    {
        await using UpProcess up = UpProcess.Start(("back", "ready", ""));
        await up.UntilAsync(Up);
        string before = await up.AskAsync("back", "/pid");
        ProcessTable.Signal(up.Children().Single().Pid, "KILL");
        await up.UntilAsync("back ended with status 137");
        await up.UntilAsync("back is ready again");
        Assert.NotEqual(before, await up.AskAsync("back", "/pid"));
    }

    [Fact]
    public async Task services_end_when_the_starter_is_killed()
    {
        await using UpProcess up = UpProcess.Start(("back", "ready", ""), ("other", "ready", ""));
        await up.UntilAsync(Up);
        IReadOnlyList<KnownProcess> children = up.Children();
        Assert.Equal(2, children.Count(ProcessTable.IsRunning));
        ProcessTable.Signal(up.Pid, "KILL");
        await up.EndAsync();
        await Task.WhenAll(children.Select(up.GoneAsync));
        Assert.DoesNotContain(children, ProcessTable.IsRunning);
    }

    [Fact]
    public async Task what_a_killed_starter_left_behind_is_ended_by_the_next_one()
    {
        await using UpProcess up = UpProcess.Start(("back", "leaves-a-child", ""));
        await up.UntilAsync(Up);
        KnownProcess left = up.Descendants().Single(process => process.Name == "sleep");
        ProcessTable.Signal(up.Pid, "KILL");
        await up.EndAsync();
        Assert.True(ProcessTable.IsRunning(left));

        await using UpProcess next = up.Again();
        await next.UntilAsync($"ended sleep (process {left.Pid}), which an earlier run had left behind");
        Assert.False(ProcessTable.IsRunning(left));
        await next.UntilAsync(Up);
    }

    [Fact]
    public async Task what_a_service_leaves_behind_is_ended_and_named()
    {
        await using UpProcess up = UpProcess.Start(("back", "leaves-a-child", ""));
        await up.UntilAsync(Up);
        KnownProcess left = up.Descendants().Single(process => process.Name == "sleep");
        ProcessTable.Signal(up.Pid, "TERM");
        await up.EndAsync();
        Assert.Contains($"sleep (process {left.Pid}) was left behind and has been ended", up.Output, StringComparison.Ordinal);
        Assert.False(ProcessTable.IsRunning(left));
    }

    [Fact]
    public async Task a_service_that_cannot_start_ends_the_start_with_its_last_words()
    {
        await using UpProcess up = UpProcess.Start(("fine", "ready", ""), ("ill", "dies", ""));
        (int status, string error) = await up.EndAsync();
        Assert.Equal(1, status);
        Assert.Contains("ill ended 3 times while starting, last with status 7", error, StringComparison.Ordinal);
        Assert.Contains("these are my last words", error, StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(up.State, "processes.json")));
    }

    [Fact]
    public async Task two_systems_do_not_share_a_state_directory()
    {
        await using UpProcess up = UpProcess.Start(("back", "ready", ""));
        await up.UntilAsync(Up);
        await using UpProcess second = up.Again();
        (int status, string error) = await second.EndAsync();
        Assert.Equal(1, status);
        Assert.Contains("another specmesh up uses", error, StringComparison.Ordinal);
        Assert.Equal("\"\"", $"\"{await up.AskAsync("back", "/environment/NOTHING")}\"");
    }
}
