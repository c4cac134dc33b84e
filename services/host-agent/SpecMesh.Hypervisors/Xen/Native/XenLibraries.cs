using System.Runtime.InteropServices;

namespace SpecMesh.Hypervisors.Xen.Native;

/// <summary>
/// Finds Xen's libraries. Those with an interface of their own have a version of their own; libxenctrl and libxenguest carry the release of Xen, promise nothing from one release to
/// the next, and are used only in a release whose headers this code was written by.
/// </summary>
internal static class XenLibraries
{
    public const string Control = "xenctrl";
    public const string Guest = "xenguest";
    public const string ForeignMemory = "xenforeignmemory";
    public const string Call = "xencall";
    public const string Store = "xenstore";

    /// <summary>
    /// Releases whose <c>xc_dominfo_t</c>, <c>xc_hypercall_buffer_t</c> and <c>xc_cpu_policy_*</c> are what <see cref="XenControl"/> and <see cref="XenGuestLibrary"/> say. 4.16 has no
    /// <c>xc_cpu_policy_get_domain</c>, and 4.18 no <c>xc_domain_getinfo</c>.
    /// </summary>
    private static readonly string[] KnownReleases = ["4.17"];

    private static readonly Dictionary<string, string[]> FileNames = new()
    {
        [Control] = [.. KnownReleases.Select(release => $"libxenctrl.so.{release}")],
        [Guest] = [.. KnownReleases.Select(release => $"libxenguest.so.{release}")],
        [ForeignMemory] = ["libxenforeignmemory.so.1"],
        [Call] = ["libxencall.so.1"],
        [Store] = ["libxenstore.so.4"],
    };

    private static readonly Lazy<string?> Absent = new(Load);
    private static readonly Dictionary<string, nint> Loaded = [];

    /// <summary>Loads all libraries.</summary>
    /// <exception cref="HypervisorException">One is not here, or is of an unknown release.</exception>
    public static void Require()
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
        {
            throw new PlatformNotSupportedException("The Xen driver runs in Xen's control domain, on Linux and x64.");
        }

        if (Absent.Value is { } reason)
        {
            throw new HypervisorException(reason);
        }
    }

    private static string? Load()
    {
        foreach ((string name, string[] files) in FileNames)
        {
            nint library = 0;
            if (!files.Any(file => NativeLibrary.TryLoad(file, out library)))
            {
                string[] others = OtherReleasesOf(name);
                return others.Length == 0
                    ? $"Xen's library {files[0]} is not here: the Xen driver runs in the control domain of a Xen host."
                    : $"Xen's library {files[0]} is not here, and {string.Join(", ", others)} is of a release that the Xen driver does not know; it knows {string.Join(", ", KnownReleases)}.";
            }

            Loaded[name] = library;
        }

        NativeLibrary.SetDllImportResolver(typeof(XenLibraries).Assembly, (name, _, _) => Loaded.GetValueOrDefault(name));
        return null;
    }

    private static string[] OtherReleasesOf(string name)
    {
        string[] folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib", "/usr/local/lib64"];
        return [.. folders.Where(Directory.Exists).SelectMany(folder => Directory.GetFiles(folder, $"lib{name}.so.*")).Select(Path.GetFileName).OfType<string>().Distinct().Order(StringComparer.Ordinal)];
    }
}
