using System.Text.Json;
using Hone.Formats;
using Hone.Server.Cloudflare;
using Hone.Server.Requests;

namespace Hone.Server.OpenAI;

/// <summary>An expected failure in OpenAI's shape: <c>{"error":{"message","type","param","code"}}</c>.</summary>
/// <param name="Param">The field at fault.</param>
internal sealed record OpenAIError(int Status, string Message, string? Param = null, string? Code = null, string Type = OpenAIError.InvalidRequest) : IResult
{
    public const string InvalidRequest = "invalid_request_error";

    /// <summary>SDKs repeat 408, 409, 429 and 5xx by themselves.</summary>
    public bool? Retry { get; init; }

    public TimeSpan? RetryAfter { get; init; }

    public static OpenAIError MissingKey { get; } = new(401,
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).");

    public static OpenAIError InvalidKey(string? key) => new(401, $"Incorrect API key provided: {Masked(key)}. `hone tokens list` shows the tokens of an account.", null, "invalid_api_key");

    public static OpenAIError InsufficientPermissions(string why) => new(403, $"You have insufficient permissions for this operation. {why}", null, "insufficient_permissions");

    public static OpenAIError ModelNotFound(string model) => new(404, $"The model `{model.Shown()}` does not exist or you do not have access to it.", "model", "model_not_found");

    public static OpenAIError ModelNotReady(string model, string state) => new(400, $"The model `{model.Shown()}` cannot be used: its job is {state}.", "model", "model_not_ready");

    public static OpenAIError AccountMismatch { get; } = new(403, "The API key belongs to another account than the one in the address.", null, "account_mismatch");

    public static OpenAIError MalformedJson(string why) => new(400, $"We could not parse the JSON body of your request: {why}.");

    /// <summary>Everything that is wrong with a body, as one error: there is room for one.</summary>
    public static OpenAIError Of(BodyFields fields) => new(400, string.Join("; ", fields.Errors.Select(e => e.Error)), fields.Errors[0].Field);

    /// <summary>What shared code refuses, in this dialect.</summary>
    public static OpenAIError From(ApiError error, string method, string path)
    {
        string message = string.Join("; ", error.Errors.Select(e => Plain(e.Message)));
        int code = error.Errors[0].Code;
        OpenAIError said = error.Status switch
        {
            _ when code == ApiErrors.NoRoute.Errors[0].Code => new(404, $"Invalid URL ({method} {path.Shown()}){(OpenAIPaths.Missing(path) is { } why ? $": {why}" : "")}", null, "unknown_url"),
            401 => new(401, message, null, "invalid_api_key"),
            405 => new(405, $"Not allowed to {method} on {path.Shown()}. {message}", null, "method_not_supported"),
            413 => new(413, message, null, "request_too_large"),
            429 => new(429, message, null, "rate_limit_exceeded", "requests"),
            >= 500 => new(error.Status, message, null, null, "server_error"),
            _ => new(error.Status, message),
        };
        return said with { Retry = error.Retry, RetryAfter = error.RetryAfter };
    }

    public Task ExecuteAsync(HttpContext httpContext)
    {
        var response = httpContext.Response;
        response.StatusCode = Status;
        if (Retry is { } retry)
            response.Headers["x-should-retry"] = retry ? "true" : "false";
        if (RetryAfter is { } after)
            response.Headers.RetryAfter = ((int)Math.Ceiling(after.TotalSeconds)).ToString();
        return Envelope.WriteAsync(httpContext, WriteBody);
    }

    public void WriteBody(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        writer.WriteStartObject("error");
        writer.WriteString("message", Message);
        writer.WriteString("type", Type);
        writer.WriteString("param", Param);
        writer.WriteString("code", Code);
        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    private static string Plain(string message)
    {
        const string prefix = "AiError: ";
        while (message.StartsWith(prefix, StringComparison.Ordinal))
            message = message[prefix.Length..];
        return message;
    }

    /// <summary>Enough to recognise it, too little to use it.</summary>
    private static string Masked(string? key) => key is { Length: > 12 } ? $"{key[..4]}***{key[^4..]}" : "***";
}
