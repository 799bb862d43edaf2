using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Core;
using Hone.Core.Finetunes;
using Hone.Core.Store;
using Hone.Formats;
using Hone.Formats.Adapters;
using Hone.Formats.TrainingData;
using Hone.Server.Auth;
using Hone.Server.Hosting;
using Hone.Server.Requests;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Net.Http.Headers;

namespace Hone.Server.Cloudflare;

/// <summary><c>/ai/finetunes/{finetune_id}/finetune-assets</c>: upload, list, download.</summary>
internal static class AssetEndpoints
{
    /// <summary>Segment of the file's name in <c>/client/v4/accounts/A/ai/finetunes/ID/finetune-assets/NAME</c>.</summary>
    private const int NameSegment = 8;

    /// <summary>Room for a form's headers, boundaries and small parts beside its file.</summary>
    private const int FormOverhead = 64 << 10;

    public static void MapAssets(this IEndpointRouteBuilder account)
    {
        account.MapPost("/ai/finetunes/{finetune_id}/finetune-assets", UploadAsync).NeedsWrite().WithSummary("Upload a file of a finetune")
            .WithDescription("Form with file_name and file. training_data.jsonl starts the training (training_config.json and validation_data.jsonl go before it); adapter_config.json and adapter_model.safetensors bring a finished adapter.")
            .TakesUpload().Answers(ApiExamples.Uploaded, CloudflareJson.Default.UploadedAssetView, ApiErrors.MissingPermission, NotFound("support-triage"),
                FinetuneEndpoints.Refused(400, ApiErrors.InvalidUpload, "the part 'file' is missing: it holds the asset's bytes"),
                FinetuneEndpoints.Refused(400, ApiErrors.AssetRefused, "training_data.jsonl is stored already, with other bytes"),
                FinetuneEndpoints.Refused(400, ApiErrors.AdapterRefused, "adapter_config.json: $.r is 64; at most 32 is accepted."),
                FinetuneEndpoints.Refused(400, ApiErrors.TrainingDataRefused, "training_data.jsonl, line 3, byte 120: no assistant's turn"),
                FinetuneEndpoints.Refused(400, ApiErrors.WrongState, "It is queued and takes no more files; create another finetune."), ApiErrors.TooLarge(512 << 20));
        account.MapGet("/ai/finetunes/{finetune_id}/finetune-assets", ListAsync).WithSummary("List the files of a finetune").Answers(ApiExamples.Assets, CloudflareJson.Default.IReadOnlyListAssetView, ApiErrors.FinetuneNotFound("support-triage"));
        account.MapGet("/ai/finetunes/{finetune_id}/finetune-assets/{file_name}", DownloadAsync).WithSummary("Download a file of a finetune").AnswersFile(ApiErrors.FinetuneNotFound("support-triage"), FinetuneEndpoints.Refused(400, ApiErrors.TrainingDataRefused, "The form does not exist for this base."));
    }

    private static async Task<IResult> UploadAsync(HttpContext context, FinetuneService finetunes, HoneLimits limits, DataFolder folder, CancellationToken cancellationToken)
    {
        if (FinetuneEndpoints.IdOrName(context, out var error) is not { } idOrName)
            return error!;
        string accountId = context.Caller().AccountId;
        // Asked before the bytes travel.
        if (await finetunes.FindAsync(accountId, idOrName, includePublic: false, cancellationToken) is null)
            return NotFound(idOrName);
        long limit = AssetFiles.Accepted.Max(name => AssetFiles.Limit(name, limits)) + FormOverhead;
        await using var upload = await MultipartUpload.OpenAsync(context.Request, folder.BlobPath, limit, cancellationToken);
        return await finetunes.UploadAssetAsync(accountId, idOrName, upload.FileName, upload.Content, cancellationToken) switch
        {
            UploadResult.Stored stored => Uploaded(stored.Asset, stored.Finetune, stored.Warnings, stored.Report),
            UploadResult.SameAgain same => Uploaded(same.Asset, same.Finetune, [], null),
            UploadResult.Refused refused => Refused(refused, idOrName, upload.FileName),
            var other => throw new InvalidOperationException($"Unknown result {other}."),
        };
    }

    private static ApiError NotFound(string idOrName) => new(400, ApiErrors.UnknownModel, $"Finetune {idOrName.Shown()} not found") { FromAi = true };

    private static ApiError Refused(UploadResult.Refused refused, string idOrName, string fileName)
    {
        var (status, code) = refused.Reason switch
        {
            UploadRefusal.FinetuneNotFound => (400, ApiErrors.UnknownModel),
            UploadRefusal.UnknownFileName => (400, ApiErrors.InvalidUpload),
            UploadRefusal.TooLarge => (413, 3006),
            UploadRefusal.AlreadyStored => (400, ApiErrors.AssetRefused),
            UploadRefusal.WrongState => (400, ApiErrors.WrongState),
            _ => (400, AssetFiles.IsAdapter(fileName) ? ApiErrors.AdapterRefused : ApiErrors.TrainingDataRefused),
        };
        if (refused.Reason is UploadRefusal.FinetuneNotFound)
            return NotFound(idOrName);
        return new ApiError(status, [.. refused.Errors.Select(e => new ApiMessage(code, e))])
        {
            FromAi = true,
            Result = refused.Report is { } report ? new JsonObject { ["lint"] = JsonSerializer.SerializeToNode(report, LintJson.Readable.LintReport) } : null,
        };
    }

    private static Answer<UploadedAssetView> Uploaded(FinetuneAsset asset, Finetune finetune, IReadOnlyList<string> warnings, LintReport? lint) => Envelope.Ok(
        new UploadedAssetView(asset.Sha256[..32], finetune.Id, asset.FileName, "hone", asset.CreatedAt, asset.CreatedAt, finetune.State.Name(), warnings.Count == 0 ? null : warnings,
            lint is null ? null : JsonSerializer.SerializeToElement(lint, LintJson.Readable.LintReport)),
        CloudflareJson.Default.UploadedAssetView);

    private static async Task<IResult> ListAsync(HttpContext context, FinetuneService finetunes, CancellationToken cancellationToken)
    {
        if (FinetuneEndpoints.IdOrName(context, out var error) is not { } idOrName)
            return error!;
        if (await finetunes.FindAsync(context.Caller().AccountId, idOrName, includePublic: false, cancellationToken) is not { } finetune)
            return ApiErrors.FinetuneNotFound(idOrName);
        var assets = await finetunes.ListAssetsAsync(finetune.Id, cancellationToken);
        IReadOnlyList<AssetView> all = [.. assets.Select(AssetView.Of)];
        return new Answer<IReadOnlyList<AssetView>>(all, CloudflareJson.Default.IReadOnlyListAssetView) { Page = new(1, Math.Max(1, all.Count), all.Count, all.Count) };
    }

    /// <summary>Made while it is sent: neither a disk nor the memory has to hold a merged model.</summary>
    private static PushStreamHttpResult Sent(HttpContext context, AdapterExport export, string fileName)
    {
        context.Response.RegisterForDispose(export);
        context.Response.ContentLength = export.Length;
        return TypedResults.Stream(async body =>
        {
            foreach (ReadOnlyMemory<byte> piece in export.Pieces)
                await body.WriteAsync(piece, context.RequestAborted);
        }, AssetFiles.ContentType(fileName), fileName);
    }

    private static async Task<IResult> DownloadAsync(HttpContext context, FinetuneService finetunes, CancellationToken cancellationToken)
    {
        if (FinetuneEndpoints.IdOrName(context, out var error) is not { } idOrName)
            return error!;
        string fileName = RawPath.Segment(context, NameSegment);
        if (await finetunes.FindAsync(context.Caller().AccountId, idOrName, includePublic: false, cancellationToken) is not { } finetune)
            return ApiErrors.FinetuneNotFound(idOrName);
        if (await finetunes.OpenAssetAsync(finetune.Id, fileName, cancellationToken) is not { } content)
        {
            try
            {
                if (await finetunes.ExportAsync(finetune, fileName, cancellationToken) is { } export)
                    return Sent(context, export, fileName);
            }
            catch (InvalidFileException e)
            {
                return new ApiError(400, 1007, e.Message) { FromAi = true };
            }
            return new ApiError(404, 3037, $"AiError: AiError: Finetune {idOrName.Shown()} has no file {fileName.Shown()}") { FromAi = true };
        }
        return TypedResults.Stream(content.Content, AssetFiles.ContentType(content.Asset.FileName), content.Asset.FileName,
            content.Asset.CreatedAt, EntityTagHeaderValue.Parse($"\"{content.Asset.Sha256}\""), enableRangeProcessing: true);
    }
}
