using Hone.Core.Finetunes;
using Hone.Server.Auth;
using Hone.Server.Hosting;
using Hone.Server.Requests;

namespace Hone.Server.Cloudflare;

/// <summary><c>/ai/finetunes/{finetune_id}/events</c>: as a list, or as a stream that ends with the final state.</summary>
internal static class EventEndpoints
{
    private const int DefaultLimit = 100;
    private const int MaxLimit = 1000;

    public static void MapEvents(this IEndpointRouteBuilder account) =>
        account.MapGet("/ai/finetunes/{finetune_id}/events", GetAsync).WithSummary("What happened to a finetune")
            .WithDescription("JSON, or with Accept: text/event-stream a stream of events with ids that goes on after Last-Event-ID and ends with an event named state.")
            .TakesQuery("after", "Events after this sequence number").TakesQuery("limit", "1 to 1000, default 100")
            .Answers(ApiExamples.Events, CloudflareJson.Default.IReadOnlyListEventView, ApiErrors.FinetuneNotFound("support-triage"), FinetuneEndpoints.Refused(400, ApiErrors.InvalidField, "'limit' must be a number from 1 to 1000"))
            .AlsoStreams(ApiExamples.EventStream);

    private static async Task<IResult> GetAsync(HttpContext context, FinetuneService finetunes, IHostApplicationLifetime lifetime, TimeProvider clock, CancellationToken cancellationToken)
    {
        if (FinetuneEndpoints.IdOrName(context, out var notRouted) is not { } idOrName)
            return notRouted!;
        var errors = new List<ApiMessage>();
        bool stream = ServerSentEvents.Wanted(context.Request);
        long after = Number(context, "after", 0, long.MaxValue, errors) ?? 0;
        long limit = Number(context, "limit", 1, MaxLimit, errors) ?? DefaultLimit;
        if (stream && context.Request.Headers["Last-Event-ID"].ToString() is { Length: > 0 } last)
        {
            if (long.TryParse(last, out long id) && id >= 0)
                after = id;
            else
                errors.Add(new(ApiErrors.InvalidField, "'Last-Event-ID' must be the id of an event of this stream"));
        }
        if (errors.Count > 0)
            return new ApiError(400, errors) { FromAi = true };
        string accountId = context.Caller().AccountId;
        if (await finetunes.FindAsync(accountId, idOrName, includePublic: false, cancellationToken) is not { } finetune)
            return ApiErrors.FinetuneNotFound(idOrName);
        if (!stream)
        {
            var events = await finetunes.ListEventsAsync(finetune.Id, after, (int)limit, cancellationToken);
            return new Answer<IReadOnlyList<EventView>>([.. events.Select(EventView.Of)], CloudflareJson.Default.IReadOnlyListEventView)
            {
                Cursor = new((int)limit, events.Count, events.Count > 0 ? events[^1].Sequence.ToString() : null),
            };
        }
        // A server that goes down ends its streams, and says that the job has not ended; the client comes back with Last-Event-ID.
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, lifetime.ApplicationStopping);
        var feed = new ServerSentEvents(context);
        try
        {
            await StreamAsync(feed, context, finetunes, finetune, after, clock, ending.Token);
        }
        catch (OperationCanceledException) when (lifetime.ApplicationStopping.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            await RunEndpoints.WriteErrorAsync(feed, context, ApiErrors.JobGoesOn, cancellationToken);
        }
        return Results.Empty;
    }

    private static async Task StreamAsync(ServerSentEvents stream, HttpContext context, FinetuneService finetunes, Finetune finetune, long after, TimeProvider clock, CancellationToken cancellationToken)
    {
        await stream.StartAsync(cancellationToken);
        bool known = await stream.FollowAsync(finetunes.WatchEventsAsync(finetune.Id, after, cancellationToken), next =>
        {
            var e = EventView.Of(next);
            return stream.WriteAsync(e, CloudflareJson.Default.EventView, cancellationToken, e.Sequence, e.Type);
        }, clock, cancellationToken);
        if (!known)
            await RunEndpoints.WriteErrorAsync(stream, context, ApiErrors.AuthenticationError, cancellationToken);
        else if (await finetunes.FindAsync(finetune.AccountId, finetune.Id.ToString(), includePublic: false, cancellationToken) is { } final)
            await stream.WriteAsync(OwnFinetuneView.Of(final), CloudflareJson.Default.OwnFinetuneView, cancellationToken, name: "state");
        else
            await stream.WriteAsync(new StatusView(finetune.Id, "deleted"), CloudflareJson.Default.StatusView, cancellationToken, name: "state");
    }

    private static long? Number(HttpContext context, string name, long minimum, long maximum, List<ApiMessage> errors)
    {
        string given = context.Request.Query[name].ToString();
        if (given.Length == 0)
            return null;
        if (long.TryParse(given, out long number) && number >= minimum && number <= maximum)
            return number;
        errors.Add(new(ApiErrors.InvalidField, maximum == long.MaxValue ? $"'{name}' must be a number, {minimum} or more" : $"'{name}' must be a number from {minimum} to {maximum}"));
        return null;
    }
}
