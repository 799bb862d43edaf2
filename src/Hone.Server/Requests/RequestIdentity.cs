using Hone.Core.Inference;
using Hone.Core.Models;
using Hone.Core.Store;
using Hone.Formats;
using Hone.Server.Cloudflare;
using Microsoft.AspNetCore.Connections;

namespace Hone.Server.Requests;

/// <summary>
/// Outermost: gives a request its id, which is in the log's scope and in the answer (<c>cf-ray</c>, <c>cf-ai-req-id</c>, <c>x-request-id</c>), turns what was thrown into the
/// envelope, and gives bare 404, 405 and 416 answers the envelope too.
/// </summary>
internal sealed partial class RequestIdentity(RequestDelegate next, ILogger<RequestIdentity> logger, TimeProvider clock)
{
    public async Task InvokeAsync(HttpContext context)
    {
        var uuid = NewId();
        string ray = Name(context.Response.Headers, uuid);
        context.TraceIdentifier = ray;
        context.Items[typeof(RequestIdentity)] = uuid;
        long start = clock.GetTimestamp();
        using (Scope(logger, ray))
        {
            try
            {
                await AnswerAsync(context);
            }
            finally
            {
                // Also where the client is gone before it could be told of an error.
                if (logger.IsEnabled(LogLevel.Information))
                    LogRequest(context.Request.Method, context.Request.Path.Value.Shown(), context.Response.StatusCode, clock.GetElapsedTime(start).TotalMilliseconds);
            }
        }
    }

    /// <summary>Version 4, of the runtime's own random numbers: an id is no secret, and the system is not asked with each request.</summary>
    internal static Guid NewId()
    {
        Span<byte> bytes = stackalloc byte[16];
        Random.Shared.NextBytes(bytes);
        bytes[6] = (byte)(bytes[6] & 0x0f | 0x40);
        bytes[8] = (byte)(bytes[8] & 0x3f | 0x80);
        return new Guid(bytes, bigEndian: true);
    }

    /// <summary>Writes the request's id into an answer's headers; what the log calls it.</summary>
    internal static string Name(IHeaderDictionary headers, Guid id)
    {
        string ray = $"{id.ToString("n")[..16]}-HON";
        headers["cf-ray"] = ray;
        headers["cf-ai-req-id"] = id.ToString();
        headers["x-request-id"] = $"req_{id:n}";
        return ray;
    }

    private async Task AnswerAsync(HttpContext context)
    {
        try
        {
            if (context.Request.Headers.ContentEncoding.ToString() is { Length: > 0 } encoding and not "identity")
                throw new ApiErrorException(ApiErrors.Encoded(encoding));
            await next(context);
        }
        catch (Exception e) when (e is ConnectionResetException || context.RequestAborted.IsCancellationRequested && e is OperationCanceledException or IOException)
        {
            LogClientGone(e.GetType().Name);
            return;
        }
        catch (Exception e)
        {
            var error = Describe(e);
            // The pool has logged what befell an engine; an answer that was decided on is no fault.
            if (error.Status >= 500 && e is not (EngineUnavailableException or ApiErrorException))
                LogFailure(e);
            if (context.Response.HasStarted)
            {
                // The status is gone already; a broken connection tells the client more than an early end.
                context.Abort();
                return;
            }
            Clear(context);
            await error.ExecuteAsync(context);
            return;
        }
        if (!context.Response.HasStarted && Bare(context) is { } bare)
            await bare.ExecuteAsync(context);
    }

    private static ApiError? Bare(HttpContext context) => context.Response.StatusCode switch
    {
        404 when context.GetEndpoint() is null => ApiErrors.NoRoute,
        405 => ApiErrors.MethodNotAllowed(context.Request.Method, context.Response.Headers.Allow.ToString()),
        416 => new ApiError(416, 10416, $"The range lies outside the file: Content-Range is {context.Response.Headers.ContentRange}."),
        _ => null,
    };

    /// <summary>The one place where a fault becomes an answer.</summary>
    internal static ApiError Describe(Exception exception) => exception switch
    {
        ApiErrorException { Error: var error } => error,
        BadHttpRequestException { StatusCode: 413 } => new ApiError(413, 3006, "Request is too large") { FromAi = true },
        BadHttpRequestException bad => new ApiError(bad.StatusCode, 10000 + bad.StatusCode, $"The request cannot be read: {bad.Message.Shown()}"),
        ModelNotFoundException missing => ApiErrors.NoSuchModel(missing.ModelId),
        ModelUnavailableException gone => ApiErrors.EngineFailed(500, gone.PublicMessage) with { Retry = false },
        EngineBusyException => ApiErrors.Busy,
        EngineUnavailableException down => ApiErrors.EngineFailed(503, down.Message) with { RetryAfter = down.RetryAfter },
        EngineException crashed => ApiErrors.EngineFailed(500, crashed.Message),
        _ when StorageException.From(exception, "The data folder") is { } storage => ApiErrors.StorageFailed(storage.Problem),
        _ => ApiErrors.Internal,
    };

    /// <summary>What was said of the request itself stays: its id, and how its sender stands.</summary>
    internal static readonly string[] OwnHeaders =
    [
        "cf-ray", "cf-ai-req-id", "x-request-id", "Ratelimit", "Ratelimit-Policy", "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests",
    ];

    private static void Clear(HttpContext context)
    {
        var headers = context.Response.Headers;
        var kept = Array.ConvertAll(OwnHeaders, name => headers[name]);
        context.Response.Clear();
        for (int i = 0; i < OwnHeaders.Length; i++)
        {
            if (kept[i].Count > 0)
                headers[OwnHeaders[i]] = kept[i];
        }
    }
}

internal static class RequestIdentityOfContext
{
    public static Guid RequestUuid(this HttpContext context) => (Guid)context.Items[typeof(RequestIdentity)]!;
}
