using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Hone.Server.Auth;

namespace Hone.Server.Requests;

/// <summary>Writes <c>text/event-stream</c>: headers at once, each event flushed.</summary>
internal sealed class ServerSentEvents(HttpContext context)
{
    private static readonly JsonWriterOptions WriterOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Shorter than the minute after which common proxies close a silent connection.</summary>
    private static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(15);

    private readonly ArrayBufferWriter<byte> buffer = new(1024);

    public static bool Wanted(HttpRequest request) =>
        request.GetTypedHeaders().Accept.Any(a => a.MediaType.Equals("text/event-stream", StringComparison.OrdinalIgnoreCase) && a.Quality is not 0);

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        var response = context.Response;
        response.ContentType = "text/event-stream";
        response.Headers.CacheControl = "no-cache";
        // Proxies that buffer would turn the stream into one late answer.
        response.Headers["X-Accel-Buffering"] = "no";
        await response.StartAsync(cancellationToken);
        await response.Body.FlushAsync(cancellationToken);
    }

    public Task WriteAsync<T>(T data, JsonTypeInfo<T> type, CancellationToken cancellationToken, long? id = null, string? name = null) =>
        WriteAsync(writer => JsonSerializer.Serialize(writer, data, type), cancellationToken, id, name);

    public Task WriteAsync(Action<Utf8JsonWriter> data, CancellationToken cancellationToken, long? id = null, string? name = null)
    {
        buffer.ResetWrittenCount();
        if (id is not null)
            buffer.Write(System.Text.Encoding.ASCII.GetBytes($"id: {id}\n"));
        if (name is not null)
            buffer.Write(System.Text.Encoding.ASCII.GetBytes($"event: {name}\n"));
        buffer.Write("data: "u8);
        // JSON escapes line breaks, so one line it is.
        using (var writer = new Utf8JsonWriter(buffer, WriterOptions))
            data(writer);
        buffer.Write("\n\n"u8);
        return SendAsync(cancellationToken);
    }

    /// <summary>Writes what comes, and heartbeats while nothing does.</summary>
    /// <returns>False where the token was revoked or has expired meanwhile: what came then is not written.</returns>
    public async Task<bool> FollowAsync<T>(IAsyncEnumerable<T> source, Func<T, Task> write, TimeProvider clock, CancellationToken cancellationToken)
    {
        await using var items = source.GetAsyncEnumerator(cancellationToken);
        var next = items.MoveNextAsync().AsTask();
        try
        {
            while (await NextAsync(next, clock, cancellationToken))
            {
                if (!await context.IsStillKnownAsync(cancellationToken))
                    return false;
                await write(items.Current);
                next = items.MoveNextAsync().AsTask();
            }
            return true;
        }
        finally
        {
            // An enumerator may not be disposed while it moves.
            await ((Task)next).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task<bool> NextAsync(Task<bool> next, TimeProvider clock, CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                return await next.WaitAsync(Heartbeat, clock, cancellationToken);
            }
            catch (TimeoutException)
            {
                await WriteHeartbeatAsync(cancellationToken);
            }
        }
    }

    public Task WriteDoneAsync(CancellationToken cancellationToken) => WriteLineAsync("data: [DONE]"u8, cancellationToken);

    /// <summary>A comment: keeps connections that proxies would close for silence.</summary>
    public Task WriteHeartbeatAsync(CancellationToken cancellationToken) => WriteLineAsync(": heartbeat"u8, cancellationToken);

    private Task WriteLineAsync(ReadOnlySpan<byte> line, CancellationToken cancellationToken)
    {
        buffer.ResetWrittenCount();
        buffer.Write(line);
        buffer.Write("\n\n"u8);
        return SendAsync(cancellationToken);
    }

    private async Task SendAsync(CancellationToken cancellationToken)
    {
        await context.Response.Body.WriteAsync(buffer.WrittenMemory, cancellationToken);
        await context.Response.Body.FlushAsync(cancellationToken);
    }
}
