using Hone.Core.Files;
using Hone.Formats;
using Hone.Server.Auth;
using Hone.Server.Hosting;
using Microsoft.Net.Http.Headers;

namespace Hone.Server.OpenAI;

/// <summary><c>/files</c>: upload, list, get, content, delete.</summary>
internal static class FileEndpoints
{
    /// <summary>Room for a form's headers, boundaries and small parts beside its file.</summary>
    public const int FormOverhead = 64 << 10;
    private const int MaxPage = 10_000;

    public static void MapFiles(this IEndpointRouteBuilder api)
    {
        api.MapPost("/files", UploadAsync).NeedsWrite().WithSummary("Upload a file")
            .TakesForm("file", "purpose").Gives(OpenAIExamples.File, OpenAIJson.Default.FileView);
        api.MapGet("/files", ListAsync).WithSummary("List files")
            .TakesPage().TakesQuery("order", "asc or desc").TakesQuery("purpose", "Files with this purpose alone")
            .Gives(OpenAIExamples.List(OpenAIExamples.File), OpenAIJson.Default.ListViewFileView, OpenAIDescription.BadPage);
        api.MapGet("/files/{file_id}", GetAsync).WithSummary("Get a file")
            .Gives(OpenAIExamples.File, OpenAIJson.Default.FileView, NotFound("file-1"));
        api.MapGet("/files/{file_id}/content", ContentAsync).WithSummary("Get a file's bytes")
            .GivesBytes(NotFound("file-1"));
        api.MapDelete("/files/{file_id}", DeleteAsync).NeedsWrite().WithSummary("Delete a file")
            .Gives(new DeletedView("file-1", "file", true), OpenAIJson.Default.DeletedView, NotFound("file-1"));
    }

    private static async Task<IResult> UploadAsync(HttpContext context, FileService files, CancellationToken cancellationToken)
    {
        var (form, taken) = await FileForm.ReadAsync(context.Request, "file", files.Limit + FormOverhead, stream => files.StageAsync(stream, cancellationToken), cancellationToken);
        if (taken is null)
            return new OpenAIError(400, "'file' is a required property: the part that holds the file.", "file");
        if (taken.IsRefused(out var refused, out var staged))
            return Error(refused);
        await using (staged)
        {
            if (form.Fields.Keys.FirstOrDefault(k => k is not "purpose") is { } unknown)
                return new OpenAIError(400, $"Unrecognized request argument supplied: {unknown.Shown(60)}", unknown.Shown(60), "unknown_parameter");
            if (FileService.Check(form.FileName, form.Fields.GetValueOrDefault("purpose")) is [var error, ..])
                return Error(error);
            var file = await files.AddAsync(context.Caller().AccountId, form.FileName!, form.Fields["purpose"], staged, cancellationToken);
            return OpenAIAnswers.Of(FileView.Of(file), OpenAIJson.Default.FileView);
        }
    }

    private static async Task<IResult> ListAsync(HttpContext context, FileService files, CancellationToken cancellationToken)
    {
        var query = context.Request.Query;
        var (page, error) = OpenAIPage.Of(query, MaxPage, MaxPage);
        if (page is null)
            return error!;
        string order = query["order"].ToString();
        if (order is not ("" or "asc" or "desc"))
            return new OpenAIError(400, $"'order' is '{order.Shown(60)}', it must be asc or desc", "order");
        string? purpose = query["purpose"].ToString() is { Length: > 0 } given ? given : null;
        if (await files.ListAsync(context.Caller().AccountId, purpose, order != "asc", page.After, page.Limit + 1, cancellationToken) is not { } found)
            return page.NoSuchAfter;
        IReadOnlyList<FileView> data = [.. found.Take(page.Limit).Select(FileView.Of)];
        return OpenAIAnswers.Of(
            new ListView<FileView>(data, found.Count > page.Limit) { FirstId = data.Count > 0 ? data[0].Id : null, LastId = data.Count > 0 ? data[^1].Id : null }, OpenAIJson.Default.ListViewFileView);
    }

    private static async Task<IResult> GetAsync(HttpContext context, string file_id, FileService files, CancellationToken cancellationToken) =>
        await files.FindAsync(context.Caller().AccountId, file_id, cancellationToken) is { } file
            ? OpenAIAnswers.Of(FileView.Of(file), OpenAIJson.Default.FileView)
            : NotFound(file_id);

    private static async Task<IResult> ContentAsync(HttpContext context, string file_id, FileService files, CancellationToken cancellationToken) =>
        await files.FindAsync(context.Caller().AccountId, file_id, cancellationToken) is { } file
            ? TypedResults.Stream(files.OpenRead(file), "application/octet-stream", file.FileName, file.CreatedAt, EntityTagHeaderValue.Parse($"\"{file.Sha256}\""), enableRangeProcessing: true)
            : NotFound(file_id);

    private static async Task<IResult> DeleteAsync(HttpContext context, string file_id, FileService files, CancellationToken cancellationToken) =>
        await files.DeleteAsync(context.Caller().AccountId, file_id, cancellationToken)
            ? OpenAIAnswers.Of(new DeletedView(file_id, "file", true), OpenAIJson.Default.DeletedView)
            : NotFound(file_id);

    private static OpenAIError NotFound(string id) => new(404, $"No such File object: {id.Shown()}", "id");

    public static OpenAIError Error(FileRefusal refused) => refused.Reason switch
    {
        FileRefusalReason.NotFound => new(404, refused.Message, refused.Field),
        FileRefusalReason.TooLarge => new(413, refused.Message, refused.Field, "file_too_large"),
        _ => new(400, refused.Message, refused.Field),
    };
}
