using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Server.OpenAI;
using Hone.Server.Requests;

namespace Hone.Server.Cloudflare;

/// <param name="Chain">The original's <c>error_chain</c>: what lies behind the message.</param>
internal sealed record ApiMessage(int Code, string Message, ApiMessage? Chain = null);

/// <summary>An expected failure in the Cloudflare dialect: a status and every error that was found.</summary>
internal sealed record ApiError(int Status, IReadOnlyList<ApiMessage> Errors) : IResult
{
    public ApiError(int status, int code, string message) : this(status, [new ApiMessage(code, message)])
    {
    }

    /// <summary>Errors of the AI endpoints carry <c>"result":{}</c>, those of the gateway <c>"result":null</c>.</summary>
    public bool FromAi { get; init; }

    /// <summary>Becomes <c>x-should-retry</c>: SDKs repeat 408, 409, 429 and 5xx by themselves.</summary>
    public bool? Retry { get; init; }

    public TimeSpan? RetryAfter { get; init; }

    /// <summary>What goes beside the errors, for example a lint report.</summary>
    public JsonObject? Result { get; init; }

    public Task ExecuteAsync(HttpContext httpContext)
    {
        if (OpenAIPaths.Has(httpContext.Request.Path))
            return OpenAIError.From(this, httpContext.Request.Method, httpContext.Request.Path).ExecuteAsync(httpContext);
        var response = httpContext.Response;
        response.StatusCode = Status;
        if (Retry is { } retry)
            response.Headers["x-should-retry"] = retry ? "true" : "false";
        if (RetryAfter is { } after)
            response.Headers.RetryAfter = ((int)Math.Ceiling(after.TotalSeconds)).ToString();
        return Envelope.WriteAsync(httpContext, writer => WriteBody(writer, httpContext.RequestUuid()));
    }

    internal void WriteBody(Utf8JsonWriter writer, Guid requestId)
    {
        writer.WriteStartObject();
        writer.WriteBoolean("success", false);
        writer.WriteStartArray("errors");
        foreach (var error in Errors)
            WriteMessage(writer, error, requestId);
        writer.WriteEndArray();
        writer.WriteStartArray("messages");
        writer.WriteEndArray();
        writer.WritePropertyName("result");
        if (Result is not null)
        {
            Result.WriteTo(writer);
        }
        else if (FromAi)
        {
            writer.WriteStartObject();
            writer.WriteEndObject();
        }
        else
        {
            writer.WriteNullValue();
        }
        writer.WriteEndObject();
    }

    private static void WriteMessage(Utf8JsonWriter writer, ApiMessage error, Guid requestId)
    {
        writer.WriteStartObject();
        writer.WriteNumber("code", error.Code);
        // Messages of the model side name the request, as the original's do.
        writer.WriteString("message", error.Message.StartsWith("AiError:", StringComparison.Ordinal)
            ? $"{error.Message} ({requestId})"
            : error.Message);
        if (error.Chain is { } chain)
        {
            writer.WriteStartArray("error_chain");
            WriteMessage(writer, chain, requestId);
            writer.WriteEndArray();
        }
        writer.WriteEndObject();
    }
}

/// <summary>Carries an <see cref="ApiError"/> out of code that can only throw, such as a stream that another part reads.</summary>
internal sealed class ApiErrorException(ApiError error, Exception? inner = null) : Exception(error.Errors[0].Message, inner)
{
    public ApiError Error { get; } = error;
}
