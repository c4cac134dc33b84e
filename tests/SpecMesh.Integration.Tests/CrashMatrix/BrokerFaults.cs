using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;
using SpecMesh.Cli.Up;
using SpecMesh.Contracts;

namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>What happens to RabbitMQ. Each lets everybody go on who waits, and returns when the fault is over.</summary>
public static class BrokerFaults
{
    private const string Control = "/usr/lib/rabbitmq/bin/rabbitmqctl";
    private static readonly TimeSpan Length = TimeSpan.FromSeconds(4);

    public static Task KillAsync(CrashSystem system, Action goOn)
    {
        system.Victims.Kill("rabbitmq");
        goOn();
        return Task.CompletedTask;
    }

    public static Task RestartAsync(CrashSystem system, Action goOn)
    {
        system.Victims.Stop("rabbitmq", "TERM");
        goOn();
        return Task.CompletedTask;
    }

    public static Task ResetConnectionsAsync(CrashSystem system, Action goOn)
    {
        foreach (Link link in system.Links.To("rabbitmq"))
        {
            link.Reset();
        }

        goOn();
        return Task.CompletedTask;
    }

    /// <summary>The queue goes with all that is in it, under its consumer.</summary>
    public static async Task LoseQueueAsync(CrashSystem system, string queue, Action goOn)
    {
        await using IConnection connection = await ConnectAsync(system.Bus);
        await using IChannel channel = await connection.CreateChannelAsync();
        await channel.QueueDeleteAsync(queue);
        goOn();
    }

    /// <summary>The broker takes no message from anybody until it has memory again.</summary>
    public static async Task RunOutOfMemoryAsync(CrashSystem system, Action goOn)
    {
        await ControlAsync(system, "set_vm_memory_high_watermark", "0.00001");
        goOn();
        await Until.PassedAsync(Length);
        await ControlAsync(system, "set_vm_memory_high_watermark", "0.4");
    }

    /// <summary>Connects without a link in between.</summary>
    public static Task<IConnection> ConnectAsync(string bus) =>
        new ConnectionFactory { Uri = new Uri(bus.Replace("rabbitmq://", "amqp://", StringComparison.Ordinal)) }.CreateConnectionAsync("crash-matrix");

    /// <summary>Messages that wait in a queue; 0 where there is no such queue.</summary>
    public static async Task<uint> CountAsync(IConnection connection, string queue)
    {
        await using IChannel channel = await connection.CreateChannelAsync();
        try
        {
            return (await channel.QueueDeclarePassiveAsync(queue)).MessageCount;
        }
        catch (OperationInterruptedException absent) when (absent.ShutdownReason?.ReplyCode == 404)
        {
            return 0;
        }
    }

    /// <summary>The first of the queues that is not there or that nobody reads; null when each has its reader. An agent or a service notices only after a while that its queue was deleted.</summary>
    public static async Task<string?> FirstUnreadAsync(string bus, IEnumerable<string> queues)
    {
        await using IConnection connection = await ConnectAsync(bus);
        await using IChannel channel = await connection.CreateChannelAsync();
        foreach (string queue in queues)
        {
            if ((await channel.QueueDeclarePassiveAsync(queue)).ConsumerCount == 0)
            {
                return queue;
            }
        }

        return null;
    }

    /// <summary>Queues that hold messages, also those that a consumer has taken and not acknowledged; each as <c>NAME MESSAGES</c>.</summary>
    public static async Task<IReadOnlyList<string>> HoldingAsync(CrashSystem system)
    {
        string listed = await ControlAsync(system, "--quiet", "list_queues", "--no-table-headers", "name", "messages");
        return [.. listed.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Replace('\t', ' ')).Where(line => !line.EndsWith(" 0", StringComparison.Ordinal))];
    }

    /// <summary>Empties the queues that a failed case may have left something in, so that the next one is judged by what it does itself.</summary>
    public static async Task EmptyAsync(string bus, IEnumerable<string> queues)
    {
        await using IConnection connection = await ConnectAsync(bus);
        foreach (string queue in queues)
        {
            if (await CountAsync(connection, queue) > 0)
            {
                await using IChannel channel = await connection.CreateChannelAsync();
                await channel.QueuePurgeAsync(queue);
            }
        }
    }

    /// <summary>Sends a command to a host, as a client does that knows the contracts only.</summary>
    public static async Task SendAsync(string bus, string hostId, object command)
    {
        await using IConnection connection = await ConnectAsync(bus);
        await using IChannel channel = await connection.CreateChannelAsync(new CreateChannelOptions(publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true));
        BasicProperties properties = new() { ContentType = "application/json", DeliveryMode = DeliveryModes.Persistent, Type = $"{command.GetType().Namespace}:{command.GetType().Name}" };
        await channel.BasicPublishAsync("", HostQueue.Of(hostId), mandatory: true, properties, JsonSerializer.SerializeToUtf8Bytes(command, command.GetType(), ContractJson.Options));
    }

    /// <summary>Runs the broker's own control program, as the user and with the environment that the broker has.</summary>
    private static async Task<string> ControlAsync(CrashSystem system, params string[] arguments)
    {
        string broker = string.Create(CultureInfo.InvariantCulture, $"/proc/{system.Victims.PidOf("rabbitmq")}");
        ProcessStartInfo start = new("setpriv") { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = "/" };
        if (UnixUser.ForServer("rabbitmq") is { } user)
        {
            start.ArgumentList.Add(string.Create(CultureInfo.InvariantCulture, $"--reuid={user.Uid}"));
            start.ArgumentList.Add(string.Create(CultureInfo.InvariantCulture, $"--regid={user.Gid}"));
            start.ArgumentList.Add("--clear-groups");
        }

        foreach (string argument in (string[])["--", Control, .. arguments])
        {
            start.ArgumentList.Add(argument);
        }

        foreach (string variable in Encoding.UTF8.GetString(await File.ReadAllBytesAsync(broker + "/environ")).Split('\0', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] pair = variable.Split('=', 2);
            start.Environment[pair[0]] = pair[1];
        }

        using Process control = Process.Start(start)!;
        string said = await control.StandardOutput.ReadToEndAsync() + await control.StandardError.ReadToEndAsync();
        await control.WaitForExitAsync();
        Assert.True(control.ExitCode == 0, said);
        return said;
    }
}
