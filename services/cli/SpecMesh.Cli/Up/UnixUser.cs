using System.Globalization;

namespace SpecMesh.Cli.Up;

/// <summary>A user of this machine.</summary>
/// <param name="Name">Login name.</param>
/// <param name="Uid">User number.</param>
/// <param name="Gid">Number of the primary group.</param>
public sealed record UnixUser(string Name, int Uid, int Gid)
{
    /// <summary>
    /// Whom a server runs as: when this process is root, the first of <paramref name="names"/> that exists, else <c>nobody</c>; null when this process is not root,
    /// for then the server runs as its starter.
    /// </summary>
    /// <exception cref="InvalidOperationException">This process is root and the machine has none of these users.</exception>
    public static UnixUser? ForServer(params string[] names)
    {
        if (!Environment.IsPrivilegedProcess)
        {
            return null;
        }

        string[][] users = [.. File.ReadLines("/etc/passwd").Select(line => line.Split(':')).Where(fields => fields.Length >= 4)];
        foreach (string name in names.Append("nobody"))
        {
            if (users.FirstOrDefault(fields => fields[0] == name) is { } found)
            {
                return new UnixUser(name, int.Parse(found[2], CultureInfo.InvariantCulture), int.Parse(found[3], CultureInfo.InvariantCulture));
            }
        }

        throw new InvalidOperationException($"this machine has none of the users {string.Join(", ", names)}, nobody; a server must not run as root");
    }
}
