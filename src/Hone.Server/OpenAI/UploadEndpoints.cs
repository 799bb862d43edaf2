using System.Text.Json;
using Hone.Core;
using Hone.Core.Files;
using Hone.Formats;
using Hone.Server.Auth;
using Hone.Server.Hosting;
using Hone.Server.Requests;

namespace Hone.Server.OpenAI;

/// <summary><c>/uploads</c>: a file in parts.</summary>
internal static class UploadEndpoints
{
    private const int MaxBody = 1 << 20;
    private const int MaxParts = 10_000;

    private static readonly TextField FileName = new("filename", "The file's name.", 1, 255);
    private static readonly TextField Purpose = new("purpose", "fine-tune.");
    private static readonly IntegerField Bytes = new("bytes", "Of all parts together.", 1, long.MaxValue / 2);
    private static readonly TextField MimeType = new("mime_type", "Of the file; it changes nothing.");
    private static readonly BodyShape Create = new("A file that is to come in parts.", [FileName, Purpose, Bytes, MimeType],
        new BodyRule("""{"required":["filename","purpose","bytes"]}""", fields =>
        {
            foreach (string name in (string[])["filename", "purpose", "bytes"])
            {
                if (!fields.Has(name))
                    fields.Fail(name, $"'{name}' is a required property");
            }
        }));

    private static readonly SpecialField PartIds = new("part_ids", "The parts, in the file's order.", $$"""{"type":"array","items":{"type":"string"},"minItems":1,"maxItems":{{MaxParts}}}""", (fields, ids) =>
    {
        if (ids.ValueKind is not JsonValueKind.Array || ids.GetArrayLength() is 0 or > MaxParts || ids.EnumerateArray().Any(id => id.ValueKind is not JsonValueKind.String))
            fields.Fail("part_ids", $"'part_ids' must be an array of 1 to {MaxParts} ids of parts");
    });

    private static readonly TextField Md5 = new("md5", "Of the whole file, in hex; compared where it is given.");
    private static readonly BodyShape Complete = new("The parts of a file.", [PartIds, Md5], new BodyRule("""{"required":["part_ids"]}""", fields =>
    {
        if (!fields.Has("part_ids"))
            fields.Fail("part_ids", "'part_ids' is a required property");
    }));

    public static void MapUploads(this IEndpointRouteBuilder api)
    {
        api.MapPost("/uploads", CreateAsync).NeedsWrite().WithSummary("Announce a file in parts")
            .TakesJson(Create.Schema, OpenAIExamples.Announce).Gives(OpenAIExamples.Upload, OpenAIJson.Default.UploadView);
        api.MapPost("/uploads/{upload_id}/parts", AddPartAsync).NeedsWrite().WithSummary("Upload a part")
            .TakesForm("data").Gives(OpenAIExamples.Part, OpenAIJson.Default.UploadPartView, NotFound("upload-1"));
        api.MapPost("/uploads/{upload_id}/complete", CompleteAsync).NeedsWrite().WithSummary("Make a file of the parts")
            .TakesJson(Complete.Schema, OpenAIExamples.Complete).Gives(OpenAIExamples.Upload, OpenAIJson.Default.UploadView, NotFound("upload-1"));
        api.MapPost("/uploads/{upload_id}/cancel", CancelAsync).NeedsWrite().WithSummary("Cancel an upload")
            .Gives(OpenAIExamples.Upload, OpenAIJson.Default.UploadView, NotFound("upload-1"), FileEndpoints.Error(new FileRefusal(FileRefusalReason.Ended, "upload_id", "The upload 'upload-1' is completed.")));
    }

    private static async Task<IResult> CreateAsync(HttpContext context, FileService files, CancellationToken cancellationToken)
    {
        var (fields, error) = await OpenAIBody.ReadAsync(context, MaxBody, Create, null, cancellationToken);
        if (fields is null)
            return error!;
        var created = await files.CreateUploadAsync(context.Caller().AccountId, FileForm.WithoutFolders(FileName.Read(fields)!), Purpose.Read(fields)!, Bytes.Read(fields)!.Value, cancellationToken);
        return created.IsRefused(out var refused, out var upload) ? FileEndpoints.Error(refused) : OpenAIAnswers.Of(UploadView.Of(upload), OpenAIJson.Default.UploadView);
    }

    private static async Task<IResult> AddPartAsync(HttpContext context, string upload_id, FileService files, HoneLimits limits, CancellationToken cancellationToken)
    {
        string account = context.Caller().AccountId;
        // Asked before the bytes travel.
        if (await files.FindUploadAsync(account, upload_id, cancellationToken) is null)
            return NotFound(upload_id);
        var (_, added) = await FileForm.ReadAsync(
            context.Request, "data", limits.UploadPartBytes + FileEndpoints.FormOverhead, stream => files.AddPartAsync(account, upload_id, stream, cancellationToken), cancellationToken);
        if (added is null)
            return new OpenAIError(400, "'data' is a required property: the part of the form that holds the bytes.", "data");
        return added.IsRefused(out var refused, out var part)
            ? FileEndpoints.Error(refused)
            : OpenAIAnswers.Of(new UploadPartView(part.Id, part.CreatedAt.ToUnixTimeSeconds(), part.UploadId), OpenAIJson.Default.UploadPartView);
    }

    private static async Task<IResult> CompleteAsync(HttpContext context, string upload_id, FileService files, CancellationToken cancellationToken)
    {
        var (fields, error) = await OpenAIBody.ReadAsync(context, MaxBody, Complete, null, cancellationToken);
        if (fields is null)
            return error!;
        string account = context.Caller().AccountId;
        string[] parts = [.. PartIds.Read(fields)!.Value.EnumerateArray().Select(id => id.GetString()!)];
        var completed = await files.CompleteUploadAsync(account, upload_id, parts, Md5.Read(fields), cancellationToken);
        if (completed.IsRefused(out var refused, out var file))
            return FileEndpoints.Error(refused);
        return await files.FindUploadAsync(account, upload_id, cancellationToken) is { } upload ? OpenAIAnswers.Of(UploadView.Of(upload, file), OpenAIJson.Default.UploadView) : NotFound(upload_id);
    }

    private static async Task<IResult> CancelAsync(HttpContext context, string upload_id, FileService files, CancellationToken cancellationToken)
    {
        var cancelled = await files.CancelUploadAsync(context.Caller().AccountId, upload_id, cancellationToken);
        return cancelled.IsRefused(out var refused, out var upload) ? FileEndpoints.Error(refused) : OpenAIAnswers.Of(UploadView.Of(upload), OpenAIJson.Default.UploadView);
    }

    private static OpenAIError NotFound(string id) => new(404, $"No such Upload object: {id.Shown()}", "upload_id");
}
