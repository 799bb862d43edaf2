using Hone.Server.Cloudflare;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;

namespace Hone.Server.Requests;

/// <summary>
/// An upload's body. Large files come over slow lines too, so no rate is asked for; but a line that is silent for a minute is given up, and so is each when the server
/// shuts down, as its stop would wait for the rest.
/// </summary>
internal sealed class UploadStream : ReadOnlyStream
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(1);

    private readonly HttpContext _context;
    private readonly CancellationToken _stopping;
    private readonly CancellationTokenSource _silence;
    private readonly CancellationTokenSource _end;

    private UploadStream(HttpContext context, TimeProvider clock, CancellationToken stopping)
    {
        (_context, _stopping) = (context, stopping);
        _silence = new CancellationTokenSource(Timeout.InfiniteTimeSpan, clock);
        _end = CancellationTokenSource.CreateLinkedTokenSource(stopping, context.RequestAborted, _silence.Token);
        context.Response.RegisterForDispose(_silence);
        context.Response.RegisterForDispose(_end);
    }

    /// <param name="request">Its body is read here alone.</param>
    /// <param name="limit">In bytes.</param>
    public static Stream Open(HttpRequest request, long limit)
    {
        HttpContext context = request.HttpContext;
        if (context.Features.Get<IHttpMinRequestBodyDataRateFeature>() is { } rate)
            rate.MinDataRate = null;
        IServiceProvider services = context.RequestServices;
        return new LimitedStream(new UploadStream(context, services.GetRequiredService<TimeProvider>(), services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping), limit);
    }

    /// <param name="buffer">Where to read to.</param>
    /// <param name="cancellationToken">The request's own, which is heeded already.</param>
    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        _silence.CancelAfter(s_patience);
        try
        {
            int read = await _context.Request.Body.ReadAsync(buffer, _end.Token);
            _silence.CancelAfter(Timeout.InfiniteTimeSpan);
            return read;
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested && !_context.RequestAborted.IsCancellationRequested)
        {
            throw new ApiErrorException(ApiErrors.Stopping);
        }
        catch (OperationCanceledException) when (_silence.IsCancellationRequested && !_context.RequestAborted.IsCancellationRequested)
        {
            throw new BadHttpRequestException($"nothing came for {s_patience.TotalSeconds:0} seconds, and the body is not complete", StatusCodes.Status408RequestTimeout);
        }
    }
}
