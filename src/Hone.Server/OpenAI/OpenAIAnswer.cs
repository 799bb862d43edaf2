using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Hone.Server.Cloudflare;

namespace Hone.Server.OpenAI;

/// <summary>An object of the dialect as the whole body.</summary>
internal sealed class OpenAIAnswer<T>(T value, JsonTypeInfo<T> type) : IResult
{
    public Task ExecuteAsync(HttpContext httpContext) => Envelope.WriteAsync(httpContext, writer => JsonSerializer.Serialize(writer, value, type));
}

internal static class OpenAIAnswers
{
    public static OpenAIAnswer<T> Of<T>(T value, JsonTypeInfo<T> type) => new(value, type);
}
