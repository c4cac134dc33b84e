using System.Diagnostics.CodeAnalysis;

namespace SpecMesh.Hosting;

/// <summary>The setting <c>SpecMesh:Bus</c> when it names a RabbitMQ broker.</summary>
internal sealed record BusUrl(string Host, ushort Port, string VirtualHost, string User, string Password, bool Tls)
{
    private const ushort PlainPort = 5672;
    private const ushort TlsPort = 5671;

    public static bool TryParse(string text, [NotNullWhen(true)] out BusUrl? bus)
    {
        bus = null;
        if (!Uri.TryCreate(text, UriKind.Absolute, out Uri? url)
            || url.Scheme is not ("rabbitmq" or "rabbitmqs" or "amqp" or "amqps")
            || url.Host.Length == 0
            || url.Query.Length > 0)
        {
            return false;
        }

        bool tls = url.Scheme.EndsWith('s');
        string[] user = url.UserInfo.Split(':', 2);
        string path = Uri.UnescapeDataString(url.AbsolutePath.TrimStart('/'));
        bus = new BusUrl(
            url.Host,
            url.Port > 0 ? (ushort)url.Port : tls ? TlsPort : PlainPort,
            path.Length == 0 ? "/" : path,
            user[0].Length == 0 ? "guest" : Uri.UnescapeDataString(user[0]),
            user.Length < 2 ? "guest" : Uri.UnescapeDataString(user[1]),
            tls);
        return true;
    }
}
