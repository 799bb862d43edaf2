using System.Buffers;
using System.Text.Json;
using Hone.Formats.Files;

namespace Hone.Server.Requests;

/// <summary>A JSON object read from a request, whatever its <c>Content-Type</c> says: wrangler sends text/plain, documented curl lines form-urlencoded.</summary>
internal sealed record JsonBody(JsonElement Root, string? Malformed)
{
    private static readonly JsonDocumentOptions Options = new() { MaxDepth = 64 };

    /// <summary>Throws <see cref="Cloudflare.ApiErrorException"/> with 413 where the body is longer than <paramref name="limit"/> bytes.</summary>
    public static async ValueTask<JsonBody> ReadAsync(HttpContext context, int limit, CancellationToken cancellationToken)
    {
        var bytes = new ArrayBufferWriter<byte>((int)Math.Clamp(context.Request.ContentLength ?? 4096, 256, 65536));
        var body = new LimitedStream(context.Request.Body, limit);
        int read;
        while ((read = await body.ReadAsync(bytes.GetMemory(4096), cancellationToken)) > 0)
            bytes.Advance(read);
        return Parse(bytes.WrittenMemory);
    }

    internal static JsonBody Parse(ReadOnlyMemory<byte> bytes)
    {
        if (bytes.Span.StartsWith("\uFEFF"u8))
            bytes = bytes[3..];
        if (bytes.Span.Trim(" \t\r\n"u8).IsEmpty)
            return new(default, "the body is empty, a JSON object is expected");
        try
        {
            // The clone outlives the document's pooled memory.
            using var document = JsonDocument.Parse(bytes, Options);
            if (JsonText.FirstInvalid(bytes.Span) is >= 0 and var at)
                return new(default, $"{Place(bytes.Span[..(int)at])}: a text that is not UTF-8, or holds half of a surrogate pair, which is no character");
            return document.RootElement.ValueKind is JsonValueKind.Object
                ? new(document.RootElement.Clone(), null)
                : new(default, $"the body is {Name(document.RootElement.ValueKind)}, a JSON object is expected");
        }
        catch (JsonException e)
        {
            string what = e.Message.Contains("maximum configured depth", StringComparison.Ordinal)
                ? "nested deeper than 64 levels"
                : e.Message[..Math.Max(0, e.Message.IndexOf(" LineNumber:", StringComparison.Ordinal))].TrimEnd('.', ' ');
            return new(default, $"line {e.LineNumber + 1}, byte {e.BytePositionInLine + 1}: {what}");
        }
    }

    private static string Place(ReadOnlySpan<byte> before) => $"line {before.Count((byte)'\n') + 1}, byte {before.Length - before.LastIndexOf((byte)'\n')}";

    /// <summary>Code points of a string, as JSON Schema counts.</summary>
    public static int LengthOf(JsonElement text) => text.GetString()!.EnumerateRunes().Count();

    public static string Name(JsonValueKind kind) => kind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => "a string",
        JsonValueKind.Number => "a number",
        JsonValueKind.True or JsonValueKind.False => "a boolean",
        _ => "null",
    };
}
