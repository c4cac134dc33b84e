using System.Text.RegularExpressions;

namespace SpecMesh.Hosting;

/// <summary>Takes passwords out of addresses before they reach a log line or an error message.</summary>
internal static partial class SecretMask
{
    /// <summary><c>rabbitmq://user:secret@host/</c> gives <c>rabbitmq://user:***@host/</c>; <c>Password=secret</c> gives <c>Password=***</c>.</summary>
    public static string Mask(string address) =>
        PasswordField().Replace(UserInfo().Replace(address, "$1:***@"), "$1=***");

    // The password ends at the last '@' before the path, so that an unescaped '@' inside it does not leak its tail.
    [GeneratedRegex(@"(://[^:/@?#]*):[^/?#]*@")]
    private static partial Regex UserInfo();

    // A value in quotes may hold separators.
    [GeneratedRegex(@"\b(password|pwd)\s*=\s*(?:'[^']*'|""[^""]*""|[^;&]*)", RegexOptions.IgnoreCase)]
    private static partial Regex PasswordField();
}
