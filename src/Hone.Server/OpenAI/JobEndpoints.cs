using System.Text.Json;
using Hone.Core.Finetunes;
using Hone.Core.Store;
using Hone.Formats;
using Hone.Server.Auth;
using Hone.Server.Hosting;

namespace Hone.Server.OpenAI;

/// <summary><c>/fine_tuning/jobs</c>: create, list, get, cancel, pause, resume. A finetune is its own job, by whichever dialect it was made.</summary>
internal static class JobEndpoints
{
    private const int MaxBody = 1 << 20;
    private const int DefaultPage = 20;
    private const int MaxPage = 1000;

    public static void MapJobs(this IEndpointRouteBuilder api)
    {
        api.MapPost("/fine_tuning/jobs", CreateAsync).NeedsWrite().WithSummary("Create a fine-tuning job")
            .TakesJson(JobFields.Shape.Schema, OpenAIExamples.Create).Gives(OpenAIExamples.Job, OpenAIJson.Default.JobView,
                Refused(new CreateError(CreateErrorCode.UnknownModel, "model", "There is no model 'none'.")), Refused(new CreateError(CreateErrorCode.UnknownFile, "training_file", "There is no file 'file-1'.")),
                Refused(new CreateError(CreateErrorCode.TooManyFinetunes, null, "The account has 100 finetunes, as many as are allowed; delete some first.")));
        api.MapGet("/fine_tuning/jobs", ListAsync).WithSummary("List fine-tuning jobs")
            .TakesPage().Gives(OpenAIExamples.List(OpenAIExamples.Job), OpenAIJson.Default.ListViewJobView, OpenAIDescription.BadPage);
        api.MapGet("/fine_tuning/jobs/{job_id}", GetAsync).WithSummary("Get a fine-tuning job")
            .Gives(OpenAIExamples.Job, OpenAIJson.Default.JobView, NotFound("ftjob-1"));
        api.MapPost("/fine_tuning/jobs/{job_id}/cancel", CancelAsync).NeedsWrite().WithSummary("Cancel a fine-tuning job")
            .Gives(OpenAIExamples.Job, OpenAIJson.Default.JobView, NotFound("ftjob-1"), WrongState("The job has succeeded."));
        api.MapPost("/fine_tuning/jobs/{job_id}/pause", (HttpContext context, string job_id, FinetuneService finetunes, JobViews views, CancellationToken cancellationToken) =>
            HoldAsync(context, job_id, finetunes.PauseAsync, views, cancellationToken)).NeedsWrite().WithSummary("Pause a fine-tuning job")
            .Gives(OpenAIExamples.Job, OpenAIJson.Default.JobView, NotFound("ftjob-1"), WrongState("The job has succeeded."));
        api.MapPost("/fine_tuning/jobs/{job_id}/resume", (HttpContext context, string job_id, FinetuneService finetunes, JobViews views, CancellationToken cancellationToken) =>
            HoldAsync(context, job_id, finetunes.ResumeAsync, views, cancellationToken)).NeedsWrite().WithSummary("Resume a fine-tuning job")
            .Gives(OpenAIExamples.Job, OpenAIJson.Default.JobView, NotFound("ftjob-1"), WrongState("The job has succeeded."));
    }

    /// <summary>The account's finetune behind a job's id.</summary>
    public static async Task<Finetune?> FindAsync(HttpContext context, string jobId, FinetuneService finetunes, CancellationToken cancellationToken) =>
        JobViews.FinetuneId(jobId) is { } id ? await finetunes.FindAsync(context.Caller().AccountId, id, includePublic: false, cancellationToken) : null;

    public static OpenAIError NotFound(string jobId) => new(404, $"Could not find fine tune: {jobId.Shown()}", "fine_tune_id", "fine_tune_not_found");

    private static async Task<IResult> CreateAsync(HttpContext context, FinetuneService finetunes, JobViews views, CancellationToken cancellationToken)
    {
        var (fields, error) = await OpenAIBody.ReadAsync(context, MaxBody, JobFields.Shape, null, cancellationToken);
        if (fields is null)
            return error!;
        return await finetunes.CreateJobAsync(context.Caller().AccountId, JobFields.Read(fields), cancellationToken) switch
        {
            CreateResult.Created created => await AnswerAsync(created.Finetune, views, cancellationToken),
            CreateResult.Invalid invalid => Refused([.. invalid.Errors]),
            var other => throw new InvalidOperationException($"Unknown result {other}."),
        };
    }

    private static OpenAIError Refused(params CreateError[] errors)
    {
        var first = errors[0];
        string message = string.Join(' ', errors.Select(e => e.Message));
        return first.Code switch
        {
            CreateErrorCode.UnknownModel => new(404, message, first.Field, "model_not_found"),
            CreateErrorCode.UnknownFile => new(400, message, first.Field, "invalid_file"),
            // Waiting does not help, so nothing is to be repeated.
            CreateErrorCode.TooManyFinetunes => new(429, message, null, "insufficient_quota", "insufficient_quota") { Retry = false },
            _ => new(400, message, first.Field),
        };
    }

    private static async Task<IResult> ListAsync(HttpContext context, FinetuneService finetunes, JobViews views, CancellationToken cancellationToken)
    {
        var query = context.Request.Query;
        var (page, error) = OpenAIPage.Of(query, DefaultPage, MaxPage);
        if (page is null)
            return error!;
        (string Key, string Value)[] wanted = [.. query.Where(q => q.Key.StartsWith("metadata[", StringComparison.Ordinal) && q.Key.EndsWith(']')).Select(q => (q.Key[9..^1], q.Value.ToString()))];
        // metadata=null asks for jobs without any; the official client writes its null as nothing.
        bool without = query.TryGetValue("metadata", out var metadata) && metadata.ToString() is "" or "null";
        IReadOnlyList<Finetune> all = [.. (await finetunes.ListAsync(context.Caller().AccountId, cancellationToken)).Reverse().Where(f => Matches(f, wanted) && (!without || f.MetadataJson is null))];
        string? last = JobViews.FinetuneId(page.After ?? "");
        DateTimeOffset? at = last is null ? null : TimeOrderedId.TimeOf(Guid.Parse(last));
        Predicate<Finetune>? isBehind = at is null ? null : f => f.CreatedAt < at || f.CreatedAt == at && string.CompareOrdinal(f.Id.ToString("D"), last) < 0;
        if (page.Take(all, f => FinetuneService.JobId(f.Id), isBehind) is not var (items, hasMore))
            return page.NoSuchAfter;
        return OpenAIAnswers.Of(new ListView<JobView>(await views.OfAsync(items, cancellationToken), hasMore), OpenAIJson.Default.ListViewJobView);
    }

    private static bool Matches(Finetune finetune, (string Key, string Value)[] wanted)
    {
        if (wanted.Length == 0)
            return true;
        if (finetune.MetadataJson is null)
            return false;
        using var metadata = JsonDocument.Parse(finetune.MetadataJson);
        return wanted.All(pair => metadata.RootElement.TryGetProperty(pair.Key, out var value) && value.ValueEquals(pair.Value));
    }

    private static async Task<IResult> GetAsync(HttpContext context, string job_id, FinetuneService finetunes, JobViews views, CancellationToken cancellationToken) =>
        await FindAsync(context, job_id, finetunes, cancellationToken) is { } finetune ? await AnswerAsync(finetune, views, cancellationToken) : NotFound(job_id);

    private static async Task<IResult> CancelAsync(HttpContext context, string job_id, FinetuneService finetunes, JobViews views, CancellationToken cancellationToken) =>
        JobViews.FinetuneId(job_id) is not { } id ? NotFound(job_id)
        : await finetunes.CancelAsync(context.Caller().AccountId, id, cancellationToken) switch
        {
            CancelResult.Accepted accepted => await AnswerAsync(accepted.Finetune, views, cancellationToken),
            CancelResult.AlreadyEnded ended => WrongState(ended.Message),
            _ => NotFound(job_id),
        };

    private static async Task<IResult> HoldAsync(HttpContext context, string jobId, Func<string, string, CancellationToken, Task<HoldResult>> hold, JobViews views, CancellationToken cancellationToken) =>
        JobViews.FinetuneId(jobId) is not { } id ? NotFound(jobId)
        : await hold(context.Caller().AccountId, id, cancellationToken) switch
        {
            HoldResult.Accepted accepted => await AnswerAsync(accepted.Finetune, views, cancellationToken),
            HoldResult.Refused refused => WrongState(refused.Message),
            _ => NotFound(jobId),
        };

    private static OpenAIError WrongState(string message) => new(400, message, null, "invalid_job_state");

    private static async Task<IResult> AnswerAsync(Finetune finetune, JobViews views, CancellationToken cancellationToken) =>
        OpenAIAnswers.Of(await views.OfAsync(finetune, cancellationToken), OpenAIJson.Default.JobView);
}
