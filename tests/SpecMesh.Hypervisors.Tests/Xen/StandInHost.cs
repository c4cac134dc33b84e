using System.Collections.Concurrent;
using System.Text;
using System.Text.Json.Nodes;
using SpecMesh.Contracts;
using SpecMesh.DataPath;
using SpecMesh.Hypervisors.Xen;
using SpecMesh.Hypervisors.Xen.Format;
using SpecMesh.Hypervisors.Xen.Receiving;

namespace SpecMesh.Hypervisors.Tests.Xen;

/// <summary>A host on which <see cref="StandInXl"/> is xl, with domains that are files in a folder of its own.</summary>
internal sealed class StandInHost : IDisposable
{
    public static readonly byte[] Configuration = Encoding.UTF8.GetBytes(
        """{"c_info": {"type": "pvh", "name": "vm-1", "uuid": "00000000-0000-0000-0000-000000000001"}, "b_info": {"max_vcpus": 1, "max_memkb": 8192, "type.pvh": {}}}""");

    private readonly bool ownsFolder;

    public StandInHost(string? folder = null)
    {
        ownsFolder = folder is null;
        Folder = folder ?? Directory.CreateTempSubdirectory("specmesh-").FullName;
        string program = Path.Combine(Folder, "xl");
        if (!File.Exists(program))
        {
            File.WriteAllText(program, $"#!/bin/sh\nexec '{Environment.ProcessPath}' '{typeof(StandInXl).Assembly.Location}' xl '{Folder}' \"$@\"\n");
        }

        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }

        Xl = new XlCommand(program, TimeProvider.System);
    }

    /// <summary>Memory of the machine, as it is defined. Its image has some pages more.</summary>
    public static long MemoryBytes => (SyntheticDomain.Layout.PageCount - 8) * IGuestMemory.PageBytes;

    public static XenDomainSetup Setup => SyntheticDomain.Setup with { LibxlConfiguration = Configuration };

    /// <summary>What the source's driver says of the synthetic domain before its first page.</summary>
    public static byte[] SetupBlob => XenSetupFormat.Write(Setup, SyntheticDomain.Layout);

    /// <summary>What it says after the last one.</summary>
    public static byte[] StateBlob => XenStateFormat.Write(SyntheticDomain.State);

    public string Folder { get; }

    public XlCommand Xl { get; }

    /// <summary>What the last receiver has read, up to the end of libxl's part.</summary>
    public byte[] Recorded => File.ReadAllBytes(Path.Combine(Folder, "stream"));

    /// <summary>UUIDs of domains that are noted as being built.</summary>
    public ConcurrentDictionary<Guid, bool> Unfinished { get; } = new();

    public void Set(ReceiverMood mood) => File.WriteAllText(Path.Combine(Folder, "mood"), mood.ToString());

    public XenShell NewShell(GuestTag tag, ZeroPages zeroPages = ZeroPages.AsData, TimeSpan? report = null) => new(
        new XenShellOptions(Xl, tag, MemoryBytes, zeroPages, TimeProvider.System, name => StandInXl.Domains(Folder).Where(found => found.Domain["name"]?.GetValue<string>() == name).Select(found => new StandInDomain(Folder, found.Id, tag)).SingleOrDefault())
        {
            // A receiver that does not end must not make the test wait long; nothing depends on how long it is.
            Begin = uuid => Unfinished.TryAdd(uuid, true) ? new Noted(() => Unfinished.TryRemove(uuid, out _)) : throw new InvalidOperationException("It is being built already."),
            Limits = new HandshakeLimits { Dismissal = TimeSpan.FromSeconds(3), Report = report ?? new HandshakeLimits().Report },
        });

    public IReadOnlyList<(string? Name, string State)> Domains() =>
        [.. StandInXl.Domains(Folder).Select(found => (found.Domain["name"]?.GetValue<string>(), found.Domain["state"]!.GetValue<string>()))];

    public void Dispose()
    {
        if (ownsFolder)
        {
            Directory.Delete(Folder, recursive: true);
        }
    }
}

/// <summary>A note that goes when it is disposed.</summary>
internal sealed class Noted(Action remove) : IDisposable
{
    public void Dispose() => remove();
}

/// <summary>A complete domain of a stand-in host, as the driver would find it by its tag.</summary>
internal sealed class StandInDomain(string folder, int id, GuestTag tag) : IGuest
{
    private readonly TaskCompletionSource exited = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly string file = Path.Combine(folder, $"domain-{id}");

    public GuestTag Tag { get; private set; } = tag;

    public GuestState? State => !File.Exists(file) ? null : Domain["state"]!.GetValue<string>() switch
    {
        "running" => GuestState.Running,
        "paused" => GuestState.Paused,
        var other => throw new InvalidOperationException($"A domain that is {other} was attached to."),
    };

    public Task Exited => exited.Task;

    public long MemoryBytes => StandInHost.MemoryBytes;

    public long Progress => State == GuestState.Running ? 1 : 0;

    public IGuestMemory Memory => throw new InvalidOperationException("A stand-in's memory is in what its receiver has read.");

    private JsonObject Domain => (JsonObject)JsonNode.Parse(File.ReadAllText(file))!;

    public IDirtyLog OpenDirtyLog() => throw new DirtyLogException("A stand-in writes nothing.");

    public Task<byte[]> ReadSetupAsync(CancellationToken cancellationToken) => Task.FromResult(StandInHost.SetupBlob);

    public byte[] ReadState() => throw new HypervisorException($"The domain is {State}.");

    public Task StartAsync(DurableCommit commit, CancellationToken cancellationToken)
    {
        commit.Require(Tag);
        JsonObject domain = State == GuestState.Paused ? Domain : throw new HypervisorException($"The domain is {State}.");
        (domain["state"], domain["name"]) = ("running", Tag.VmId);
        File.WriteAllText(file, domain.ToJsonString());
        return Task.CompletedTask;
    }

    public Task SuspendAsync(CancellationToken cancellationToken) => throw new HypervisorException("A stand-in cannot suspend itself.");

    public Task ResumeAsync(CancellationToken cancellationToken) => throw new HypervisorException($"The domain is {State}.");

    public Task DestroyAsync(CancellationToken cancellationToken)
    {
        File.Delete(file);
        exited.TrySetResult();
        return Task.CompletedTask;
    }

    public Task<GuestVerification> VerifyAsync(CancellationToken cancellationToken) => throw new HypervisorException("Nobody knows what a stand-in's memory must hold.");

    public Task RetagAsync(GuestTag tag)
    {
        Tag = tag;
        return Task.CompletedTask;
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
