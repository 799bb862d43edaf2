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
        var buffer = new ArrayBufferWriter<byte>(512);
        using (var writer = Writer(buffer))
            write(writer);
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = buffer.WrittenCount;
        if (!HttpMethods.IsHead(context.Request.Method))
            await context.Response.Body.WriteAsync(buffer.WrittenMemory, context.RequestAborted);
    }
}

/// <param name="TotalCount">Of all pages.</param>
internal sealed record PageInfo(int Page, int PerPage, int Count, int TotalCount);

internal sealed class Answer<T>(T result, JsonTypeInfo<T> type) : IResult
{
    public ApiMessage? Message { get; init; }

    public PageInfo? Page { get; init; }

    public Task ExecuteAsync(HttpContext httpContext) => Envelope.WriteAsync(httpContext, Write);

    private void Write(Utf8JsonWriter writer)
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
        writer.WriteEndObject();
    }
}
