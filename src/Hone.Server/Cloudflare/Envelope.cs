using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Hone.Server.Cloudflare;

/// <summary>The one shape of every answer: <c>{"result":…,"success":true,"errors":[],"messages":[]}</c>.</summary>
internal static class Envelope
{
    private static readonly JsonWriterOptions WriterOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static Answer<T> Ok<T>(T result, JsonTypeInfo<T> type) => new(result, type);

    public static Utf8JsonWriter Writer(IBufferWriter<byte> output) => new(output, WriterOptions);

    public static async Task WriteAsync(HttpContext context, Action<Utf8JsonWriter> write)
    {
        using var buffer = new PooledBuffer();
        using (var writer = Writer(buffer))
            write(writer);
        await WriteAsync(context, buffer.WrittenMemory);
    }

    public static async Task WriteAsync(HttpContext context, ReadOnlyMemory<byte> json)
    {
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = json.Length;
        if (!HttpMethods.IsHead(context.Request.Method))
            await context.Response.Body.WriteAsync(json, context.RequestAborted);
    }
}

/// <summary>An answer's bytes, in memory that goes back to the pool.</summary>
internal sealed class PooledBuffer : IBufferWriter<byte>, IDisposable
{
    private const int Least = 1024;

    private byte[] bytes = ArrayPool<byte>.Shared.Rent(Least);
    private int written;

    public ReadOnlyMemory<byte> WrittenMemory => bytes.AsMemory(0, written);

    public void Advance(int count) => written += count;

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        int wanted = written + Math.Max(sizeHint, 256);
        if (wanted > bytes.Length)
        {
            byte[] larger = ArrayPool<byte>.Shared.Rent(Math.Max(wanted, 2 * bytes.Length));
            bytes.AsSpan(0, written).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(bytes);
            bytes = larger;
        }
        return bytes.AsMemory(written);
    }

    public Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(bytes);
        bytes = [];
    }
}

/// <summary>An answer that is ready as it is.</summary>
internal sealed class Bytes(ReadOnlyMemory<byte> json) : IResult
{
    public Task ExecuteAsync(HttpContext httpContext) => Envelope.WriteAsync(httpContext, json);
}

/// <param name="After">Where the next page begins; null where this one is empty.</param>
internal sealed record CursorInfo(int PerPage, int Count, string? After);

/// <param name="TotalCount">Of all pages.</param>
internal sealed record PageInfo(int Page, int PerPage, int Count, int TotalCount);

internal sealed class Answer<T>(T result, JsonTypeInfo<T> type) : IResult
{
    public ApiMessage? Message { get; init; }

    public PageInfo? Page { get; init; }

    /// <summary>For lists that are paged by the last item instead.</summary>
    public CursorInfo? Cursor { get; init; }

    public Task ExecuteAsync(HttpContext httpContext) => Envelope.WriteAsync(httpContext, Write);

    public void Write(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        writer.WritePropertyName("result");
        JsonSerializer.Serialize(writer, result, type);
        writer.WriteBoolean("success", true);
        writer.WriteStartArray("errors");
        writer.WriteEndArray();
        writer.WriteStartArray("messages");
        if (Message is { } message)
        {
            writer.WriteStartObject();
            writer.WriteNumber("code", message.Code);
            writer.WriteString("message", message.Message);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
        if (Page is { } page)
        {
            writer.WriteStartObject("result_info");
            writer.WriteNumber("page", page.Page);
            writer.WriteNumber("per_page", page.PerPage);
            writer.WriteNumber("count", page.Count);
            writer.WriteNumber("total_count", page.TotalCount);
            writer.WriteNumber("total_pages", (page.TotalCount + page.PerPage - 1) / page.PerPage);
            writer.WriteEndObject();
        }
        else if (Cursor is { } cursor)
        {
            writer.WriteStartObject("result_info");
            writer.WriteNumber("per_page", cursor.PerPage);
            writer.WriteNumber("count", cursor.Count);
            writer.WriteString("cursor", cursor.After);
            writer.WriteEndObject();
        }
        writer.WriteEndObject();
    }
}
