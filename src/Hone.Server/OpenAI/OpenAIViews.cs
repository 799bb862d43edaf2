using System.Text.Json;
using System.Text.Json.Serialization;
using Hone.Core.Files;
using Hone.Core.Finetunes;

namespace Hone.Server.OpenAI;

internal sealed record ListView<T>(IReadOnlyList<T> Data, bool HasMore)
{
    public string Object { get; } = "list";

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? FirstId { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? LastId { get; init; }
}

internal sealed record FileView(string Id, long Bytes, long CreatedAt, string Filename, string Purpose)
{
    public string Object { get; } = "file";
    public string Status { get; } = "processed";
    public long? ExpiresAt { get; }
    public string? StatusDetails { get; }

    public static FileView Of(StoredFile file) => new(file.Id, file.Size, file.CreatedAt.ToUnixTimeSeconds(), file.FileName, file.Purpose);
}

internal sealed record DeletedView(string Id, string Object, bool Deleted);

internal sealed record UploadView(string Id, long Bytes, long CreatedAt, string Filename, string Purpose, string Status, long ExpiresAt, FileView? File)
{
    public string Object { get; } = "upload";

    public static UploadView Of(FileUpload upload, StoredFile? file = null) => new(
        upload.Id, upload.Size, upload.CreatedAt.ToUnixTimeSeconds(), upload.FileName, upload.Purpose, upload.Status, upload.ExpiresAt.ToUnixTimeSeconds(), file is null ? null : FileView.Of(file));
}

internal sealed record UploadPartView(string Id, long CreatedAt, string UploadId)
{
    public string Object { get; } = "upload.part";
}

internal sealed record JobErrorView(string Code, string Message, string? Param);

/// <summary>Numbers, or <c>"auto"</c> while the trainer has not resolved them.</summary>
internal sealed record HyperparametersView(JsonElement NEpochs, JsonElement BatchSize, JsonElement LearningRateMultiplier)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public JsonElement? Beta { get; init; }
}

internal sealed record MethodSettingsView(HyperparametersView Hyperparameters);

internal sealed record MethodView(string Type)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public MethodSettingsView? Supervised { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public MethodSettingsView? Dpo { get; init; }
}

internal sealed record JobView(
    string Id, string Model, long CreatedAt, long? FinishedAt, string? FineTunedModel, string OrganizationId, IReadOnlyList<string> ResultFiles, string Status,
    string? ValidationFile, string? TrainingFile, HyperparametersView Hyperparameters, long? TrainedTokens, JobErrorView? Error, string? UserProvidedSuffix, long? Seed,
    long? EstimatedFinish, MethodView Method, JsonElement? Metadata)
{
    public string Object { get; } = "fine_tuning.job";
    public IReadOnlyList<string> Integrations { get; } = [];
}

internal sealed record JobEventView(string Id, long CreatedAt, string Level, string Message, JsonElement? Data, string Type)
{
    public string Object { get; } = "fine_tuning.job.event";

    public static string IdOf(FinetuneEvent e) => $"ftevent-{e.FinetuneId:n}-{e.Sequence}";

    public static JobEventView Of(FinetuneEvent e) =>
        new(IdOf(e), e.CreatedAt.ToUnixTimeSeconds(), e.Level, e.Message, e.DataJson is null ? null : JsonElement.Parse(e.DataJson), e.Type);
}

internal sealed record CheckpointView(string Id, long CreatedAt, string FineTunedModelCheckpoint, int StepNumber, JsonElement Metrics, string FineTuningJobId)
{
    public string Object { get; } = "fine_tuning.job.checkpoint";
}

internal sealed record OpenAIModelView(string Id, long Created, string OwnedBy)
{
    public string Object { get; } = "model";
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(ListView<FileView>))]
[JsonSerializable(typeof(ListView<JobView>))]
[JsonSerializable(typeof(ListView<JobEventView>))]
[JsonSerializable(typeof(ListView<CheckpointView>))]
[JsonSerializable(typeof(ListView<OpenAIModelView>))]
[JsonSerializable(typeof(FileView))]
[JsonSerializable(typeof(DeletedView))]
[JsonSerializable(typeof(UploadView))]
[JsonSerializable(typeof(UploadPartView))]
[JsonSerializable(typeof(JobView))]
[JsonSerializable(typeof(JobEventView))]
[JsonSerializable(typeof(OpenAIModelView))]
[JsonSerializable(typeof(ChatView))]
[JsonSerializable(typeof(ChatChunkView))]
[JsonSerializable(typeof(TokenUsageView))]
[JsonSerializable(typeof(CompletionView))]
internal sealed partial class OpenAIJson : JsonSerializerContext;
