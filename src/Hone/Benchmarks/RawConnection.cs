using System.Buffers.Text;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Hone.Benchmarks;

/// <summary>
/// HTTP/1.1 over a socket, one request after the other, with next to no work of its own: client and server share the cores, and it is the server that is measured.
/// A thread waits in the system's own call for its answer, so no other of this process has to wake for it.
/// </summary>
internal sealed class RawConnection : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = 60_000 };
    private readonly byte[] _buffer = new byte[1 << 18];
    private readonly byte[] _head;

    public RawConnection(Uri url, string token)
    {
        _head = Encoding.ASCII.GetBytes($"Host: {url.Authority}\r\nAuthorization: Bearer {token}\r\n");
        try
        {
            _socket.Connect(IPAddress.Loopback, url.Port);
        }
        catch
        {
            _socket.Dispose();
            throw;
        }
    }

    /// <summary>A request's bytes, to be sent as often as one likes.</summary>
    public byte[] Request(string method, string path, string? body) => [
        .. Encoding.ASCII.GetBytes($"{method} {path} HTTP/1.1\r\n"), .. _head,
        .. body is null ? "\r\n"u8.ToArray() : Encoding.UTF8.GetBytes($"Content-Type: application/json\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n\r\n{body}"),
    ];

    /// <returns>The status. The body is read to its end and let go.</returns>
    public int Send(ReadOnlySpan<byte> request)
    {
        _socket.Send(request);
        int filled = 0;
        while (true)
        {
            int read = _socket.Receive(_buffer.AsSpan(filled));
            if (read == 0)
                throw new IOException("The server closed the connection.");
            filled += read;
            int end = _buffer.AsSpan(0, filled).IndexOf("\r\n\r\n"u8);
            if (end < 0)
                continue;
            int length = ContentLength(_buffer.AsSpan(0, end));
            for (int left = end + 4 + length - filled; left > 0;)
            {
                // The head may be overwritten; the status is read.
                read = _socket.Receive(_buffer.AsSpan(0, Math.Min(left, _buffer.Length)));
                if (read == 0)
                    throw new IOException("The server closed the connection.");
                left -= read;
            }
            return Status;
        }
    }

    private int Status { get; set; }

    private int ContentLength(ReadOnlySpan<byte> head)
    {
        // HTTP/1.1 200 OK
        Status = Utf8Parser.TryParse(head.Slice(9, 3), out int status, out _) ? status : 0;
        int at = head.IndexOf("Content-Length: "u8);
        return at >= 0 && Utf8Parser.TryParse(head[(at + 16)..], out int length, out _) ? length : throw new IOException("The answer has no length.");
    }

    public void Dispose() => _socket.Dispose();
}
