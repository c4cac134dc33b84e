using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;

namespace SpecMesh.Hypervisors.Tests.Xen;

/// <summary>How a stand-in receiver behaves.</summary>
internal enum ReceiverMood
{
    /// <summary>As <c>migrate_receive</c> of <c>tools/xl/xl_migrate.c</c> does.</summary>
    Stock,

    /// <summary>It dies in the middle of the migration stream, and leaves a domain without a name.</summary>
    DiesInStream,

    /// <summary>It stops reading, and notices nothing any more.</summary>
    Hangs,

    /// <summary>It is ready, and then hears nothing any more.</summary>
    DeafWhenReady,

    /// <summary>It is ready, and is killed; its domain stays.</summary>
    DiesWhenReady,

    /// <summary>It cannot start its domain.</summary>
    CannotStart,

    /// <summary>It cannot build the domain at all, and says why.</summary>
    CannotBuild,
}

/// <summary>
/// A program in the place of <c>xl</c> whose domains are files in a folder: it shows what the agent does with the processes and domains of its receivers, on a machine without Xen.
/// </summary>
internal static class StandInXl
{
    private const string Uuid = "uuid";
    private const string Name = "name";
    private const string State = "state";

    public static int Run(string folder, string[] arguments)
    {
        switch (arguments[0])
        {
            case "vm-list":
                Console.WriteLine("UUID                                  ID    name");
                foreach ((int id, JsonObject domain) in Domains(folder))
                {
                    Console.WriteLine($"{domain[Uuid]}  {id}    {domain[Name]?.GetValue<string>() ?? "(null)",-30}");
                }

                return 0;
            case "destroy":
                File.Delete(PathOf(folder, int.Parse(arguments[1], null)));
                return 0;
            case "rename":
                return Rename(folder, arguments[1], arguments[2]) ? 0 : 1;
            case "migrate-receive":
                return Receive(folder);
            default:
                return new StandInMachines(folder).Run(arguments);
        }
    }

    /// <summary>As long as a receiver lives there is a file of it, however it ends by itself.</summary>
    private static int Receive(string folder)
    {
        string alive = Path.Combine(folder, "receiver");
        File.WriteAllText(alive, "");
        try
        {
            using StandInReceiver receiver = new(folder, Enum.Parse<ReceiverMood>(File.ReadAllText(Path.Combine(folder, "mood"))));
            return receiver.Run();
        }
        finally
        {
            File.Delete(alive);
        }
    }

    public static IEnumerable<(int Id, JsonObject Domain)> Domains(string folder) => Directory.GetFiles(folder, "domain-*")
        .Select(file => (int.Parse(Path.GetFileName(file)["domain-".Length..], null), (JsonObject)JsonNode.Parse(File.ReadAllText(file))!));

    public static string PathOf(string folder, int id) => Path.Combine(folder, $"domain-{id}");

    private static void Save(string folder, int id, string uuid, string? name, string state) =>
        File.WriteAllText(PathOf(folder, id), new JsonObject { [Uuid] = uuid, [Name] = name, [State] = state }.ToJsonString());

    private static bool Rename(string folder, string from, string to)
    {
        foreach ((int id, JsonObject domain) in Domains(folder).Where(found => found.Domain[Name]?.GetValue<string>() == from).ToList())
        {
            Save(folder, id, domain[Uuid]!.GetValue<string>(), to, domain[State]!.GetValue<string>());
            return true;
        }

        return false;
    }

    private sealed class StandInReceiver(string folder, ReceiverMood mood) : IDisposable
    {
        private const int DomainId = 7;
        private readonly Stream input = Console.OpenStandardInput();
        
        // Not the console's stream, which takes no notice when nobody reads.
        private readonly Stream output = new FileStream(new Microsoft.Win32.SafeHandles.SafeFileHandle(1, ownsHandle: false), FileAccess.Write, bufferSize: 0);
        private readonly FileStream recorded = File.Create(Path.Combine(folder, "stream"));
        private string uuid = "";
        private string name = "";

        public int Run()
        {
            Say(ScriptedReceiver.Banner);
            ReadHead();
            if (mood == ReceiverMood.CannotBuild)
            {
                Console.Error.WriteLine("libxl: error: not enough free memory");
                return 1;
            }

            Save(folder, DomainId, uuid, null, "building");
            if (mood == ReceiverMood.DiesInStream)
            {
                return 1;
            }

            Hold(ReceiverMood.Hangs);
            Save(folder, DomainId, uuid, name + "--incoming", "building");
            if (!ReadToTheEnd())
            {
                // The stock receiver takes its own domain down.
                File.Delete(PathOf(folder, DomainId));
                return 1;
            }

            recorded.Dispose();
            Save(folder, DomainId, uuid, name + "--incoming", "paused");
            Say(ScriptedReceiver.Ready);
            if (mood == ReceiverMood.DiesWhenReady)
            {
                return 1;
            }

            Hold(ReceiverMood.DeafWhenReady);
            return Decide();
        }

        public void Dispose()
        {
            recorded.Dispose();
            output.Dispose();
        }

        private int Decide()
        {
            byte[] permission = new byte[ScriptedReceiver.Permission.Length];
            bool permitted = input.ReadAtLeast(permission, permission.Length, throwOnEndOfStream: false) == permission.Length
                && Encoding.ASCII.GetString(permission) == ScriptedReceiver.Permission;
            if (permitted && mood == ReceiverMood.Stock)
            {
                Save(folder, DomainId, uuid, name, "running");
                Say(ScriptedReceiver.Report + '\0');
                return 0;
            }

            try
            {
                Say(ScriptedReceiver.Report + '\u00ff');
            }
            catch (IOException)
            {
                // As the stock receiver: without anybody who reads its report it ends and leaves its domain.
                return 1;
            }

            File.Delete(PathOf(folder, DomainId));
            Say(ScriptedReceiver.Permission);
            return 0;
        }

        private void Hold(ReceiverMood when)
        {
            if (mood == when)
            {
                Thread.CurrentThread.Join();
            }
        }

        private void ReadHead()
        {
            byte[] header = Take(48);
            int length = BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(44)) - 4;
            JsonNode created = JsonNode.Parse(Take(length + 4).AsSpan()[4..^1])!["c_info"]!;
            uuid = created["uuid"]!.GetValue<string>();
            name = created["name"]!.GetValue<string>();
        }

        /// <summary>Reads libxl's header, its one record of libxc's, libxc's headers, and records until the ends of both. False when it is cut.</summary>
        private bool ReadToTheEnd()
        {
            try
            {
                Take(16 + 8 + 24 + 16);
                uint type;
                do
                {
                    byte[] head = Take(8);
                    type = BinaryPrimitives.ReadUInt32LittleEndian(head);
                    int length = BinaryPrimitives.ReadInt32LittleEndian(head.AsSpan(4));
                    Take(length + ((8 - (length % 8)) % 8));
                }
                while (type != 0);

                Take(8);
                return true;
            }
            catch (EndOfStreamException)
            {
                return false;
            }
        }

        private byte[] Take(int count)
        {
            byte[] bytes = new byte[count];
            input.ReadExactly(bytes);
            recorded.Write(bytes);
            return bytes;
        }

        private void Say(string text)
        {
            output.Write(Encoding.Latin1.GetBytes(text));
            output.Flush();
        }
    }
}
