using System.Text.Json;
using Hone.Core.Finetunes;
using Hone.Server.Cloudflare;
using Hone.Server.Hosting;
using Hone.Server.Requests;

namespace Hone.Server.OpenAI;

/// <summary><c>/fine_tuning/jobs/{id}/events</c>, as pages or as a stream, and <c>…/checkpoints</c>.</summary>
internal static class JobEventEndpoints
{
    private const int DefaultEvents = 20;
    private const int DefaultCheckpoints = 10;
    private const int MaxPage = 1000;

    public static void MapJobEvents(this IEndpointRouteBuilder api)
    {
        api.MapGet("/fine_tuning/jobs/{job_id}/events", EventsAsync).WithSummary("List a job's events")
            .WithDescription("The newest first; with stream=true all from the first on as text/event-stream, which ends with the job.")
            .TakesPage().TakesQuery("stream", "true: as a stream")
            .Gives(OpenAIExamples.List(OpenAIExamples.Event), OpenAIJson.Default.ListViewJobEventView, OpenAIDescription.BadPage, JobEndpoints.NotFound("ftjob-1")).Streams(OpenAIExamples.Event, OpenAIJson.Default.JobEventView);
        api.MapGet("/fine_tuning/jobs/{job_id}/checkpoints", CheckpointsAsync).WithSummary("List a job's checkpoints")
            .TakesPage().Gives(OpenAIExamples.List(OpenAIExamples.Checkpoint), OpenAIJson.Default.ListViewCheckpointView, OpenAIDescription.BadPage, JobEndpoints.NotFound("ftjob-1"));
    }

    private static async Task<IResult> EventsAsync(HttpContext context, string job_id, FinetuneService finetunes, IHostApplicationLifetime lifetime, TimeProvider clock, CancellationToken cancellationToken)
    {
        var (page, error) = OpenAIPage.Of(context.Request.Query, DefaultEvents, MaxPage);
        if (page is null)
            return error!;
        if (await JobEndpoints.FindAsync(context, job_id, finetunes, cancellationToken) is not { } finetune)
            return JobEndpoints.NotFound(job_id);
        long before = long.MaxValue;
        if (page.After is { } after && !TryParse(after, finetune.Id, out before))
            return page.NoSuchAfter;
        if (context.Request.Query["stream"] == "true" || ServerSentEvents.Wanted(context.Request))
        {
            await StreamAsync(context, finetune, finetunes, lifetime, clock, cancellationToken);
            return Results.Empty;
        }
        var events = await finetunes.ListEventsBeforeAsync(finetune.Id, before, page.Limit + 1, cancellationToken);
        return OpenAIAnswers.Of(new ListView<JobEventView>([.. events.Take(page.Limit).Select(JobEventView.Of)], events.Count > page.Limit), OpenAIJson.Default.ListViewJobEventView);
    }

    private static bool TryParse(string eventId, Guid finetune, out long sequence)
    {
        string prefix = $"ftevent-{finetune:n}-";
        sequence = 0;
        return eventId.StartsWith(prefix, StringComparison.Ordinal) && long.TryParse(eventId.AsSpan(prefix.Length), out sequence) && sequence > 0;
    }

    private static async Task StreamAsync(HttpContext context, Finetune finetune, FinetuneService finetunes, IHostApplicationLifetime lifetime, TimeProvider clock, CancellationToken cancellationToken)
    {
        // A server that goes down ends its streams, and says that the job has not ended.
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, lifetime.ApplicationStopping);
        var stream = new ServerSentEvents(context);
        try
        {
            await stream.StartAsync(ending.Token);
            bool known = await stream.FollowAsync(
                finetunes.WatchEventsAsync(finetune.Id, 0, ending.Token),
                e => stream.WriteAsync(JobEventView.Of(e), OpenAIJson.Default.JobEventView, ending.Token), clock, ending.Token);
            if (known)
                await stream.WriteDoneAsync(ending.Token);
            else
                await ChatEndpoints.WriteErrorAsync(stream, OpenAIError.InvalidKey(null), ending.Token);
        }
        catch (OperationCanceledException) when (lifetime.ApplicationStopping.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            await ChatEndpoints.WriteErrorAsync(stream, OpenAIError.From(ApiErrors.JobGoesOn, context.Request.Method, context.Request.Path), cancellationToken);
        }
    }

    private static async Task<IResult> CheckpointsAsync(HttpContext context, string job_id, FinetuneService finetunes, CancellationToken cancellationToken)
    {
        var (page, error) = OpenAIPage.Of(context.Request.Query, DefaultCheckpoints, MaxPage);
        if (page is null)
            return error!;
        if (await JobEndpoints.FindAsync(context, job_id, finetunes, cancellationToken) is not { } finetune)
            return JobEndpoints.NotFound(job_id);
        IReadOnlyList<CheckpointView> all = [.. (await finetunes.ListCheckpointsAsync(finetune.Id, cancellationToken)).Select(c => View(finetune, c))];
        if (page.Take(all, c => c.Id) is not var (items, hasMore))
            return page.NoSuchAfter;
        return OpenAIAnswers.Of(
            new ListView<CheckpointView>(items, hasMore) { FirstId = items.Count > 0 ? items[0].Id : null, LastId = items.Count > 0 ? items[^1].Id : null }, OpenAIJson.Default.ListViewCheckpointView);
    }

    private static CheckpointView View(Finetune finetune, FinetuneCheckpoint checkpoint) => new(
        $"ftckpt_{finetune.Id:n}_{checkpoint.Step}", checkpoint.CreatedAt.ToUnixTimeSeconds(), FinetuneRules.CheckpointName(finetune, checkpoint.Step), checkpoint.Step,
        JsonElement.Parse(checkpoint.MetricsJson), FinetuneService.JobId(finetune.Id));
}
