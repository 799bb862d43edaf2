using System.Buffers;
using System.Diagnostics;
using System.IO.Pipelines;
using System.Text;
using Hone.Server.Cloudflare;
using Hone.Server.OpenAI;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.WebUtilities;

namespace Hone.Server.Requests;

/// <summary>
/// Requests that Kestrel refuses before there is a pipeline to answer them: a line or a header it cannot read, a NUL in the path. It tells of them, then sends
/// bare headers and closes. Here those are dropped, and the envelope goes out once Kestrel is done with the connection.
/// </summary>
internal sealed partial class RejectedRequests(ILogger<RejectedRequests> logger, TimeProvider clock) : IObserver<KeyValuePair<string, object?>>
{
    private const string Rejected = "Microsoft.AspNetCore.Server.Kestrel.BadRequest";

    public static void Answer(ListenOptions listen, IServiceProvider services)
    {
        var requests = new RejectedRequests(services.GetRequiredService<ILogger<RejectedRequests>>(), services.GetRequiredService<TimeProvider>());
        services.GetRequiredService<DiagnosticListener>().Subscribe(requests, name => name == Rejected);
        listen.Use(next => connection => ServeAsync(connection, next));
    }

    private static async Task ServeAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        IDuplexPipe transport = connection.Transport;
        var output = new Output(transport.Output);
        connection.Items[typeof(RejectedRequests)] = output;
        connection.Transport = new Pipes(transport.Input, output);
        try
        {
            await next(connection);
            await output.AnswerAsync();
        }
        finally
        {
            connection.Transport = transport;
        }
    }

    /// <summary>On the connection's own loop, before anything is written about the refusal.</summary>
    public void OnNext(KeyValuePair<string, object?> value)
    {
        if (value.Value is not IFeatureCollection request || request.Get<IBadRequestExceptionFeature>()?.Error is not { } refused
            || request.Get<IHttpResponseFeature>() is not { HasStarted: false }
            || request.Get<IConnectionItemsFeature>()?.Items.TryGetValue(typeof(RejectedRequests), out object? item) is not true || item is not Output output)
        {
            return;
        }
        var id = RequestIdentity.NewId();
        var headers = new HeaderDictionary { ["Content-Type"] = "application/json", ["Connection"] = "close", ["Date"] = clock.GetUtcNow().ToString("R") };
        string ray = RequestIdentity.Name(headers, id);
        var error = RequestIdentity.Describe(refused);
        var body = new ArrayBufferWriter<byte>(256);
        using (var writer = Envelope.Writer(body))
        {
            // Without a target where the first line itself cannot be read.
            if (request.Get<IHttpRequestFeature>() is { RawTarget: { } target } asked && OpenAIPaths.Has(target.Split('?')[0]))
                OpenAIError.From(error, asked.Method, target).WriteBody(writer);
            else
                error.WriteBody(writer, id);
        }
        headers.ContentLength = body.WrittenCount;
        var head = new StringBuilder($"HTTP/1.1 {error.Status} {ReasonPhrases.GetReasonPhrase(error.Status)}\r\n");
        foreach (var (name, text) in headers)
            head.Append($"{name}: {text}\r\n");
        output.Answer = [.. Encoding.ASCII.GetBytes(head.Append("\r\n").ToString()), .. body.WrittenSpan];
        LogRejected(ray, error.Status, refused.Message);
    }

    public void OnCompleted()
    {
    }

    public void OnError(Exception error)
    {
    }

    [LoggerMessage(4, LogLevel.Information, "[cf-ray {CfRay}] refused with {Status}: {Reason}")]
    private partial void LogRejected(string cfRay, int status, string reason);

    private sealed record Pipes(PipeReader Input, PipeWriter Output) : IDuplexPipe;

    /// <summary>The socket's output; deaf once it has an answer of its own to give.</summary>
    private sealed class Output(PipeWriter inner) : PipeWriter
    {
        private byte[] dropped = [];

        public byte[]? Answer { get; set; }

        public async Task AnswerAsync()
        {
            if (Answer is null)
                return;
            try
            {
                await inner.WriteAsync(Answer);
            }
            catch (Exception e) when (e is ConnectionResetException or ConnectionAbortedException or InvalidOperationException)
            {
                // The client did not wait for the answer.
            }
        }

        public override bool CanGetUnflushedBytes => inner.CanGetUnflushedBytes;

        public override long UnflushedBytes => inner.UnflushedBytes;

        public override Memory<byte> GetMemory(int sizeHint = 0) => Answer is null ? inner.GetMemory(sizeHint) : Dropped(sizeHint);

        public override Span<byte> GetSpan(int sizeHint = 0) => Answer is null ? inner.GetSpan(sizeHint) : Dropped(sizeHint);

        public override void Advance(int bytes)
        {
            if (Answer is null)
                inner.Advance(bytes);
        }

        public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default) => inner.FlushAsync(cancellationToken);

        public override void CancelPendingFlush() => inner.CancelPendingFlush();

        public override void Complete(Exception? exception = null)
        {
            if (Answer is null)
                inner.Complete(exception);
        }

        private byte[] Dropped(int sizeHint) => dropped.Length > 0 && dropped.Length >= sizeHint ? dropped : dropped = new byte[Math.Max(sizeHint, 4096)];
    }
}
