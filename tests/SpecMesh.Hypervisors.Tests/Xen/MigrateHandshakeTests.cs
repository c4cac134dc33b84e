using System.Reflection;
using SpecMesh.Contracts;
using SpecMesh.Hypervisors.Xen.Receiving;
using static SpecMesh.Hypervisors.Tests.Xen.ScriptedReceiver;

namespace SpecMesh.Hypervisors.Tests.Xen;

/// <summary>The conversation with a stock receiver: the winner's end, the loser's, and everything that can go wrong in between.</summary>
public sealed class MigrateHandshakeTests
{
    [Fact]
    public async Task the_winner_runs_after_the_permission_and_not_before()
    {
        await using ScriptedReceiver receiver = new();
        await receiver.BecomeReadyAsync();
        Assert.False(receiver.Handshake.MayRun);

        await GoAsync(receiver, () => receiver.Say(Report + '\0'));

        Assert.Equal(DialogPhase.Running, receiver.Handshake.Phase);
        Assert.True(receiver.Handshake.MayRun);
        await receiver.Handshake.DisposeAsync();
        Assert.Equal(Permission, await receiver.HeardAsync());
    }

    [Fact]
    public async Task a_loser_that_is_ready_is_listened_to_until_its_domain_is_gone()
    {
        await using ScriptedReceiver receiver = new();
        await receiver.BecomeReadyAsync();

        Task<Dismissal> dismissal = receiver.Handshake.DismissAsync(None);
        Assert.Equal("", await receiver.HeardAsync());
        Assert.False(dismissal.IsCompleted);
        receiver.GiveDomainBack();

        Assert.True((await dismissal).Confirmed);
        Assert.Equal(DialogPhase.Destroyed, receiver.Handshake.Phase);
    }

    [Theory]
    [InlineData("")]
    [InlineData(Banner)]
    public async Task a_loser_that_is_not_ready_ends_without_a_word(string saidBefore)
    {
        await using ScriptedReceiver receiver = new();
        receiver.Say(saidBefore);

        Task<Dismissal> dismissal = receiver.Handshake.DismissAsync(None);
        Assert.Equal("", await receiver.HeardAsync());
        receiver.Close();

        Assert.False((await dismissal).Confirmed);
    }

    [Fact]
    public async Task a_loser_that_becomes_ready_while_it_is_dismissed_still_gives_its_domain_back()
    {
        await using ScriptedReceiver receiver = new();
        receiver.Say(Banner);
        await receiver.Handshake.AwaitBannerAsync(None);
        receiver.Handshake.TailBegins();

        Task<Dismissal> dismissal = receiver.Handshake.DismissAsync(None);
        receiver.Say(Ready);
        receiver.GiveDomainBack();

        Assert.True((await dismissal).Confirmed);
    }

    [Theory]
    [InlineData("", MigrateReceiveFault.ClosedEarly)]
    [InlineData("xl migration recei", MigrateReceiveFault.ClosedEarly)]
    [InlineData("Password: ", MigrateReceiveFault.Garbage)]
    [InlineData("xl migration receiver ready, send binary domain data.\0", MigrateReceiveFault.Garbage)]
    public async Task a_receiver_without_its_banner_fails(string says, MigrateReceiveFault fault)
    {
        await using ScriptedReceiver receiver = new();
        receiver.Say(says);
        receiver.Close();

        Assert.Equal(fault, (await FailsAsync(receiver.Handshake.AwaitBannerAsync(None))).Fault);
    }

    [Theory]
    [InlineData("", MigrateReceiveFault.ClosedEarly)]
    [InlineData("domain received", MigrateReceiveFault.ClosedEarly)]
    [InlineData("domain received, ready to pause\0", MigrateReceiveFault.Garbage)]
    [InlineData(Report, MigrateReceiveFault.Garbage)]
    public async Task a_receiver_that_does_not_become_ready_fails(string says, MigrateReceiveFault fault)
    {
        await using ScriptedReceiver receiver = new();
        receiver.Say(Banner);
        await receiver.Handshake.AwaitBannerAsync(None);
        receiver.Handshake.TailBegins();
        receiver.Say(says);
        receiver.Close();

        Assert.Equal(fault, (await FailsAsync(receiver.Handshake.AwaitReadyAsync(None))).Fault);
        Assert.False(receiver.Handshake.MayRun);
    }

    [Fact]
    public async Task a_receiver_that_is_ready_before_it_has_everything_fails()
    {
        await using ScriptedReceiver receiver = new();
        receiver.Say(Banner + Ready);
        receiver.Close();

        Assert.Equal(MigrateReceiveFault.Garbage, (await FailsAsync(receiver.Handshake.AwaitReadyAsync(None))).Fault);
        Assert.Throws<MigrateReceiveException>(receiver.Handshake.TailBegins);
    }

    [Theory]
    [InlineData('\u0001')]
    [InlineData('\u00ff')]
    public async Task a_winner_that_cannot_start_says_so_and_gives_the_domain_back(char code)
    {
        await using ScriptedReceiver receiver = new();
        await receiver.BecomeReadyAsync();

        MigrateReceiveException failure = await FailsAsync(GoAsync(receiver, () => receiver.GiveDomainBack(code)));
        Assert.Equal((MigrateReceiveFault.NotStarted, (byte)code), (failure.Fault, failure.Code));
        Assert.False(receiver.Handshake.MayRun);
    }

    [Theory]
    [InlineData("", MigrateReceiveFault.ClosedEarly)]
    [InlineData("my copy", MigrateReceiveFault.ClosedEarly)]
    [InlineData(Report, MigrateReceiveFault.ClosedEarly)]
    [InlineData("your copy", MigrateReceiveFault.Garbage)]
    public async Task a_winner_that_does_not_report_may_run(string says, MigrateReceiveFault fault)
    {
        await using ScriptedReceiver receiver = new();
        await receiver.BecomeReadyAsync();
        Task go = receiver.Handshake.GoAsync(Commit, None);
        receiver.Say(says);
        receiver.Close();

        Assert.Equal(fault, (await FailsAsync(go)).Fault);
        Assert.True(receiver.Handshake.MayRun);
        await Assert.ThrowsAsync<InvalidOperationException>(() => receiver.Handshake.DismissAsync(None));
    }

    [Fact]
    public async Task a_receiver_that_says_nothing_is_not_waited_for_without_end()
    {
        HandshakeLimits none = new() { Banner = NoPatience, Ready = NoPatience, Report = NoPatience, Dismissal = NoPatience };
        await using ScriptedReceiver silent = new(none);
        Assert.Equal(MigrateReceiveFault.NoAnswer, (await FailsAsync(silent.Handshake.AwaitBannerAsync(None))).Fault);

        await using ScriptedReceiver noReady = new(none with { Banner = TimeSpan.FromMinutes(1) });
        noReady.Say(Banner);
        await noReady.Handshake.AwaitBannerAsync(None);
        noReady.Handshake.TailBegins();
        Assert.Equal(MigrateReceiveFault.NoAnswer, (await FailsAsync(noReady.Handshake.AwaitReadyAsync(None))).Fault);

        await using ScriptedReceiver noReport = new(new HandshakeLimits { Report = NoPatience });
        await noReport.BecomeReadyAsync();
        Assert.Equal(MigrateReceiveFault.NoAnswer, (await FailsAsync(noReport.Handshake.GoAsync(Commit, None))).Fault);
        Assert.True(noReport.Handshake.MayRun);

        await using ScriptedReceiver noEnd = new(new HandshakeLimits { Dismissal = NoPatience });
        await noEnd.BecomeReadyAsync();
        Assert.Equal(MigrateReceiveFault.NoAnswer, (await FailsAsync(noEnd.Handshake.DismissAsync(None))).Fault);
    }

    [Fact]
    public async Task a_receiver_that_never_stops_talking_is_not_listened_to_without_end()
    {
        await using ScriptedReceiver receiver = new();
        await receiver.BecomeReadyAsync();
        Task<Dismissal> dismissal = receiver.Handshake.DismissAsync(None);
        for (int i = 0; i < 10; i++)
        {
            receiver.Say(new string('a', 1000));
        }

        Assert.Equal(MigrateReceiveFault.TooLong, (await FailsAsync(dismissal)).Fault);
    }

    [Fact]
    public async Task what_a_receiver_said_wrongly_is_shown_to_the_operator_and_cut()
    {
        await using ScriptedReceiver receiver = new();
        receiver.Say("-bash: xl: command not found\n" + new string('x', 400));

        MigrateReceiveException failure = await FailsAsync(receiver.Handshake.AwaitBannerAsync(None));
        Assert.Contains("-bash: xl: command not found.", failure.Message, StringComparison.Ordinal);
        Assert.InRange(failure.Message.Length, 100, 400);
    }

    [Fact]
    public async Task nobody_runs_a_domain_by_the_commit_of_another_replica()
    {
        await using ScriptedReceiver receiver = new();
        await receiver.BecomeReadyAsync();
        Assert.Throws<HypervisorException>(() => DurableCommit.Of(View(Tag), "host-c"));
        Assert.Throws<HypervisorException>(() => DurableCommit.Of(View(Tag) with { OwnerHostId = null }, "host-b"));
        GuestTag[] others = [Tag with { Replica = 2 }, Tag with { OperationId = Guid.NewGuid() }, Tag with { VmId = "vm-2" }, Tag with { Epoch = Tag.Epoch - 2 }];
        foreach (GuestTag other in others)
        {
            DurableCommit commit = CommitOf(other);
            await Assert.ThrowsAsync<HypervisorException>(() => receiver.Handshake.GoAsync(commit, None));
        }

        Assert.Equal(DialogPhase.Ready, receiver.Handshake.Phase);
        await receiver.Handshake.DisposeAsync();
        Assert.Equal("", await receiver.HeardAsync());
    }

    [Fact]
    public async Task the_permission_goes_out_once_and_only_to_a_receiver_that_is_ready()
    {
        await using ScriptedReceiver receiver = new();
        await Assert.ThrowsAsync<InvalidOperationException>(() => receiver.Handshake.GoAsync(Commit, None));
        await receiver.BecomeReadyAsync();
        await GoAsync(receiver, () => receiver.Say(Report + '\0'));
        await Assert.ThrowsAsync<InvalidOperationException>(() => receiver.Handshake.GoAsync(Commit, None));
        await receiver.Handshake.DisposeAsync();

        Assert.Equal(Permission, await receiver.HeardAsync());
    }

    [Fact]
    public void a_commit_comes_from_an_ownership_event_stream_and_from_nowhere_else()
    {
        Assert.Empty(typeof(DurableCommit).GetConstructors(BindingFlags.Public | BindingFlags.Instance));
        MethodInfo[] makers = [.. typeof(DurableCommit).Assembly.GetTypes()
            .SelectMany(type => type.GetMethods(BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly))
            .Where(method => method.ReturnType == typeof(DurableCommit))];
        Assert.Equal([typeof(OwnershipView), typeof(string)], Assert.Single(makers).GetParameters().Select(parameter => parameter.ParameterType));
    }

    /// <summary>Gives the permission and answers it, in this order: an answer that comes first is none.</summary>
    private static async Task GoAsync(ScriptedReceiver receiver, Action answer)
    {
        Task go = receiver.Handshake.GoAsync(Commit, None);
        answer();
        await go;
    }

    private static Task<MigrateReceiveException> FailsAsync(Task task) => Assert.ThrowsAsync<MigrateReceiveException>(() => task);
}
