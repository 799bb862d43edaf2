using System.Net;

namespace Hone.Commands;

/// <summary>Where <c>hone serve</c> listens.</summary>
internal static class ServeOptions
{
    public const string DefaultListen = "http://127.0.0.1:4663";

    /// <summary>The address behind <c>http://HOST:PORT</c>, or why it is none.</summary>
    public static (IPEndPoint? Address, string? Error) Parse(string listen)
    {
        if (!Uri.TryCreate(listen, UriKind.Absolute, out Uri? uri) || uri.Scheme is not ("http" or "https") || uri.AbsolutePath != "/" || uri.UserInfo.Length > 0 || uri.Query.Length > 0)
            return (null, $"--listen {listen}: an address looks like {DefaultListen}.");
        if (uri.Scheme == Uri.UriSchemeHttps)
            return (null, $"--listen {listen}: hone speaks HTTP; put a proxy that speaks TLS before it.");
        if (uri.IsDefaultPort && !listen.TrimEnd('/').EndsWith(":80", StringComparison.Ordinal))
            return (null, $"--listen {listen}: the port is missing.");
        string host = uri.Host.Trim('[', ']');
        if (host == "localhost")
            return (new IPEndPoint(IPAddress.Loopback, uri.Port), null);
        return IPAddress.TryParse(host, out IPAddress? address)
            ? (new IPEndPoint(address, uri.Port), null)
            : (null, $"--listen {listen}: the host is an IP address of this machine, localhost, or 0.0.0.0 for all.");
    }

    /// <summary>The address that a client on this machine uses.</summary>
    public static string UrlOf(IPEndPoint listening)
    {
        IPAddress address = listening.Address.Equals(IPAddress.Any) ? IPAddress.Loopback : listening.Address.Equals(IPAddress.IPv6Any) ? IPAddress.IPv6Loopback : listening.Address;
        return $"http://{new IPEndPoint(address, listening.Port)}";
    }
}
