using Hone.Core;
using Hone.Core.Finetunes;
using Hone.Core.Models;
using Hone.Formats;
using Hone.Server.Auth;
using Hone.Server.Hosting;
using Hone.Server.Requests;

namespace Hone.Server.Cloudflare;

/// <summary><c>/accounts/{account_id}/ai/finetunes</c>: create, list, get, delete, cancel.</summary>
internal static class FinetuneEndpoints
{
    private const int MaxBody = 1 << 20;

    /// <summary>Where a finetune's id or name stands in <c>/client/v4/accounts/A/ai/finetunes/ID</c>.</summary>
    private const int IdSegment = 6;
    private const int MaxIdLength = 1024;

    public static void MapFinetunes(this IEndpointRouteBuilder account)
    {
        account.MapPost("/ai/finetunes", CreateAsync).NeedsWrite().WithSummary("Create a finetune")
            .WithDescription("Then upload training_data.jsonl, which starts the training, or a finished adapter.")
            .TakesJson(ApiExamples.Create, CloudflareJson.Default.CreateFinetuneView)
            .Answers(ApiExamples.Finetune, CloudflareJson.Default.FinetuneView, ApiErrors.MissingPermission, ApiErrors.MalformedJson("line 1, byte 1: nothing is there"),
                Refused(400, ApiErrors.UnknownModel, "model is required"), Refused(400, ApiErrors.InvalidField, "name is required: 1 to 128 printable characters."),
                Refused(409, ApiErrors.DuplicateName, "A finetune named \"support-triage\" exists already in this account"),
                Refused(400, ApiErrors.QuotaExceeded, "The account has 100 finetunes, as many as are allowed; delete some first."), ApiErrors.TooLarge(MaxBody));
        account.MapGet("/ai/finetunes", ListAsync).WithSummary("List the account's finetunes")
            .TakesQuery("page", "With per_page: one page of them; without: all").TakesQuery("per_page", "1 to 1000").Answers([ApiExamples.OwnFinetune], CloudflareJson.Default.IReadOnlyListOwnFinetuneView);
        account.MapGet("/ai/finetunes/public", ListPublicAsync).WithSummary("List public finetunes")
            .TakesQuery("limit", "Default 20").TakesQuery("offset", "Default 0").TakesQuery("orderBy", "created_at, modified_at or name")
            .Answers([ApiExamples.Finetune], CloudflareJson.Default.IReadOnlyListFinetuneView, Refused(400, ApiErrors.InvalidField, "'limit' must be a number, 0 or more"));
        account.MapGet("/ai/finetunes/{finetune_id}", GetAsync).WithSummary("Get a finetune by id or name").WithDescription("Of another account's public one, the published fields alone.")
            .Answers(ApiExamples.OwnFinetune, CloudflareJson.Default.OwnFinetuneView, ApiErrors.FinetuneNotFound("support-triage")).OrAnswers<FinetuneView>();
        account.MapDelete("/ai/finetunes/{finetune_id}", DeleteAsync).NeedsWrite().WithSummary("Delete a finetune").Answers(ApiExamples.Deleted, CloudflareJson.Default.DeletedView, ApiErrors.MissingPermission, ApiErrors.FinetuneNotFound("support-triage"));
        account.MapPost("/ai/finetunes/{finetune_id}/cancel", CancelAsync).NeedsWrite().WithSummary("Cancel a finetune's job")
            .Answers(ApiExamples.Cancelled, CloudflareJson.Default.OwnFinetuneView, ApiErrors.MissingPermission, ApiErrors.FinetuneNotFound("support-triage"), Refused(400, ApiErrors.WrongState, "The job has succeeded already; there is nothing to cancel."));
        account.MapPost("/ai/finetunes/{finetune_id}/pause", (HttpContext context, FinetuneService finetunes, CancellationToken cancellationToken) => HoldAsync(context, finetunes.PauseAsync, cancellationToken))
            .NeedsWrite().WithSummary("Pause a finetune's job").WithDescription("A running one writes a checkpoint and leaves its worker.")
            .Answers(ApiExamples.Paused, CloudflareJson.Default.OwnFinetuneView, ApiErrors.MissingPermission, ApiErrors.FinetuneNotFound("support-triage"), Refused(400, ApiErrors.WrongState, "The job has succeeded; only one that is queued or running can be paused."));
        account.MapPost("/ai/finetunes/{finetune_id}/resume", (HttpContext context, FinetuneService finetunes, CancellationToken cancellationToken) => HoldAsync(context, finetunes.ResumeAsync, cancellationToken))
            .NeedsWrite().WithSummary("Resume a finetune's job")
            .Answers(ApiExamples.OwnFinetune, CloudflareJson.Default.OwnFinetuneView, ApiErrors.MissingPermission, ApiErrors.FinetuneNotFound("support-triage"), Refused(400, ApiErrors.WrongState, "The job is queued; only a paused one can be resumed."));
    }

    /// <summary>An error of the AI endpoints, for the OpenAPI document.</summary>
    public static ApiError Refused(int status, int code, string message) => new(status, code, message) { FromAi = true };

    /// <summary>The id or name that the path holds, or an answer where it can be neither.</summary>
    public static string? IdOrName(HttpContext context, out ApiError? error)
    {
        string idOrName = RawPath.Segment(context, IdSegment);
        bool sound = idOrName.Length is > 0 and <= MaxIdLength && !idOrName.Any(char.IsControl);
        error = sound ? null : ApiErrors.CouldNotRoute(context.Request.Path);
        return sound ? idOrName : null;
    }

    private static async Task<IResult> CreateAsync(HttpContext context, FinetuneService finetunes, ModelCatalog models, HoneLimits limits, CancellationToken cancellationToken)
    {
        var body = await JsonBody.ReadAsync(context, MaxBody, cancellationToken);
        if (body.Malformed is { } why)
            return ApiErrors.MalformedJson(why);
        var fields = new BodyFields(body.Root);
        var create = new CreateFinetune { Model = fields.Text("model"), Name = fields.Text("name"), Description = fields.Text("description"), Public = Public(fields) };
        if (fields.Errors.Count > 0)
        {
            var types = fields.Errors.Select(e => new ApiMessage(e.Field == "model" ? ApiErrors.UnknownModel : ApiErrors.InvalidField, e.Error));
            return new ApiError(400, [.. types, .. await CheckRestAsync(fields, create, models, limits, cancellationToken)]) { FromAi = true };
        }
        return await finetunes.CreateAsync(context.Caller().AccountId, create, cancellationToken) switch
        {
            CreateResult.Created created => Envelope.Ok(FinetuneView.Of(created.Finetune), CloudflareJson.Default.FinetuneView),
            CreateResult.Invalid invalid => new ApiError(400, [.. invalid.Errors.Select(Message)]) { FromAi = true },
            // Clients repeat a 409 by themselves, and one that repeats a create after a lost answer meets its own name.
            CreateResult.DuplicateName duplicate => new ApiError(409, ApiErrors.DuplicateName, duplicate.Message) { FromAi = true, Retry = false },
            var other => throw new InvalidOperationException($"Unknown result {other}."),
        };
    }

    /// <summary>All errors in one answer: also those of the fields whose type is right.</summary>
    private static async Task<IEnumerable<ApiMessage>> CheckRestAsync(BodyFields fields, CreateFinetune create, ModelCatalog models, HoneLimits limits, CancellationToken cancellationToken)
    {
        var errors = new List<CreateError>();
        if (fields.Errors.All(e => e.Field != "model") && (create.Model is null || await models.FindAsync(create.Model, cancellationToken) is null))
            errors.Add(new(CreateErrorCode.UnknownModel, "model", create.Model is null ? "model is required." : $"The model {create.Model.Shown()} is unknown."));
        if (fields.Errors.All(e => e.Field != "name"))
            errors.AddRange(FinetuneRules.CheckName(create.Name, limits));
        errors.AddRange(FinetuneRules.CheckDescription(create.Description, limits));
        return errors.Select(Message);
    }

    private static ApiMessage Message(CreateError error) => new(error.Code switch
    {
        CreateErrorCode.UnknownModel => ApiErrors.UnknownModel,
        CreateErrorCode.TooManyFinetunes => ApiErrors.QuotaExceeded,
        _ => ApiErrors.InvalidField,
    }, error.Message);

    /// <summary>One published signature of the call spells it <c>_public</c>, and clients send it so.</summary>
    private static bool Public(BodyFields fields)
    {
        bool? given = fields.Flag("public");
        bool? alias = fields.Flag("_public");
        if (given is not null && alias is not null && given != alias)
            fields.Fail("public", "'public' and '_public' are the same field and differ here: leave one out");
        return given ?? alias ?? false;
    }

    private static async Task<IResult> ListAsync(HttpContext context, FinetuneService finetunes, ListCache lists, CancellationToken cancellationToken)
    {
        string accountId = context.Caller().AccountId;
        if (context.Request.Query.Count == 0)
            return new Bytes(await lists.GetAsync(accountId, async () => Own(await finetunes.ListAsync(accountId, cancellationToken), null)));
        return Own(await finetunes.ListAsync(accountId, cancellationToken), Paging.Of(context.Request.Query, Paging.MaxPerPage));
    }

    /// <param name="paging">Null: all of them, as the original lists.</param>
    private static Answer<IReadOnlyList<OwnFinetuneView>> Own(IReadOnlyList<Finetune> all, Paging? paging)
    {
        IReadOnlyList<OwnFinetuneView> page = [.. (paging is null ? all : paging.Take(all)).Select(OwnFinetuneView.Of)];
        return new(page, CloudflareJson.Default.IReadOnlyListOwnFinetuneView) { Page = new(paging?.Page ?? 1, paging?.PerPage ?? Math.Max(1, all.Count), page.Count, all.Count) };
    }

    private static async Task<IResult> ListPublicAsync(HttpContext context, FinetuneService finetunes, CancellationToken cancellationToken)
    {
        var query = context.Request.Query;
        string order = query["orderBy"].ToString() is { Length: > 0 } given ? given : query["order_by"].ToString();
        PublicOrder? orderBy = order switch
        {
            "" or "created_at" => PublicOrder.CreatedAt,
            "modified_at" => PublicOrder.ModifiedAt,
            "name" => PublicOrder.Name,
            _ => null,
        };
        var errors = new List<ApiMessage>();
        int limit = Count(query, "limit", 20, errors), offset = Count(query, "offset", 0, errors);
        if (orderBy is null)
            errors.Add(new(ApiErrors.InvalidField, $"'orderBy' is '{order.Shown(60)}', it must be created_at, modified_at or name"));
        if (errors.Count > 0)
            return new ApiError(400, errors) { FromAi = true };
        limit = Math.Min(limit, Paging.MaxPerPage);
        var found = await finetunes.ListPublicAsync(limit, offset, orderBy!.Value, cancellationToken);
        IReadOnlyList<FinetuneView> page = [.. found.Select(FinetuneView.Of)];
        return new Answer<IReadOnlyList<FinetuneView>>(page, CloudflareJson.Default.IReadOnlyListFinetuneView)
        {
            Page = new(limit == 0 ? 1 : (int)Math.Min(offset / limit + 1L, int.MaxValue), Math.Max(1, limit), page.Count, await finetunes.CountPublicAsync(cancellationToken)),
        };
    }

    private static int Count(IQueryCollection query, string name, int otherwise, List<ApiMessage> errors)
    {
        if (query[name].ToString().Length == 0)
            return otherwise;
        if (Paging.Number(query, name, 0, int.MaxValue) is { } number)
            return number;
        errors.Add(new(ApiErrors.InvalidField, $"'{name}' must be a number, 0 or more"));
        return otherwise;
    }

    private static async Task<IResult> GetAsync(HttpContext context, FinetuneService finetunes, CancellationToken cancellationToken)
    {
        if (IdOrName(context, out var error) is not { } idOrName)
            return error!;
        var caller = context.Caller();
        return await finetunes.FindAsync(caller.AccountId, idOrName, includePublic: true, cancellationToken) switch
        {
            null => ApiErrors.FinetuneNotFound(idOrName),
            { } found when found.AccountId == caller.AccountId => Envelope.Ok(OwnFinetuneView.Of(found), CloudflareJson.Default.OwnFinetuneView),
            // Of another account's only what the public list shows.
            { } found => Envelope.Ok(FinetuneView.Of(found), CloudflareJson.Default.FinetuneView),
        };
    }

    private static async Task<IResult> DeleteAsync(HttpContext context, FinetuneService finetunes, CancellationToken cancellationToken)
    {
        if (IdOrName(context, out var error) is not { } idOrName)
            return error!;
        return await finetunes.DeleteAsync(context.Caller().AccountId, idOrName, cancellationToken) is { } deleted
            ? Envelope.Ok(new(deleted.Id), CloudflareJson.Default.DeletedView)
            : ApiErrors.FinetuneNotFound(idOrName);
    }

    private static async Task<IResult> HoldAsync(HttpContext context, Func<string, string, CancellationToken, Task<HoldResult>> hold, CancellationToken cancellationToken)
    {
        if (IdOrName(context, out var error) is not { } idOrName)
            return error!;
        return await hold(context.Caller().AccountId, idOrName, cancellationToken) switch
        {
            HoldResult.Accepted accepted => Envelope.Ok(OwnFinetuneView.Of(accepted.Finetune), CloudflareJson.Default.OwnFinetuneView),
            HoldResult.Refused refused => new ApiError(400, ApiErrors.WrongState, refused.Message) { FromAi = true },
            _ => ApiErrors.FinetuneNotFound(idOrName),
        };
    }

    private static async Task<IResult> CancelAsync(HttpContext context, FinetuneService finetunes, CancellationToken cancellationToken)
    {
        if (IdOrName(context, out var error) is not { } idOrName)
            return error!;
        return await finetunes.CancelAsync(context.Caller().AccountId, idOrName, cancellationToken) switch
        {
            CancelResult.Accepted accepted => Envelope.Ok(OwnFinetuneView.Of(accepted.Finetune), CloudflareJson.Default.OwnFinetuneView),
            CancelResult.AlreadyEnded ended => new ApiError(400, ApiErrors.WrongState, ended.Message) { FromAi = true },
            _ => ApiErrors.FinetuneNotFound(idOrName),
        };
    }
}
