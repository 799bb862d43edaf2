using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Hone.Core.Finetunes;

namespace Hone.Server.Cloudflare;

/// <summary>A finetune with the fields that the original publishes.</summary>
internal record FinetuneView(Guid Id, string Model, string Name, string? Description, bool Public, DateTimeOffset CreatedAt, DateTimeOffset ModifiedAt)
{
    public static FinetuneView Of(Finetune f) => new(f.Id, f.Model, f.Name, f.Description, f.Public, f.CreatedAt, f.ModifiedAt);
}

/// <summary>The same for its owner: with what became of it.</summary>
internal sealed record OwnFinetuneView(
    Guid Id, string Model, string Name, string? Description, bool Public, DateTimeOffset CreatedAt, DateTimeOffset ModifiedAt,
    string Status,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] JsonElement? Metrics,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] FinetuneErrorView? Error,
    DateTimeOffset? StartedAt, DateTimeOffset? FinishedAt)
    : FinetuneView(Id, Model, Name, Description, Public, CreatedAt, ModifiedAt)
{
    public static new OwnFinetuneView Of(Finetune f) => new(
        f.Id, f.Model, f.Name, f.Description, f.Public, f.CreatedAt, f.ModifiedAt, f.State.Name(), Json.Parse(f.MetricsJson),
        f.ErrorMessage is null ? null : new(f.ErrorCode ?? "failed", f.ErrorMessage), f.StartedAt, f.FinalizedAt);
}

internal sealed record FinetuneErrorView(string Code, string Message);

/// <summary>What an upload answers.</summary>
internal sealed record UploadedAssetView(string Id, Guid FinetuneId, string FileName, string BucketName, DateTimeOffset CreatedAt, DateTimeOffset ModifiedAt, string Status, IReadOnlyList<string>? Warnings, JsonElement? Lint);

internal sealed record AssetView(string FileName, long Size, string Sha256, DateTimeOffset CreatedAt)
{
    public static AssetView Of(FinetuneAsset asset) => new(asset.FileName, asset.Size, asset.Sha256, asset.CreatedAt);
}

internal sealed record EventView(long Sequence, DateTimeOffset CreatedAt, string Level, string Type, string Message, JsonElement? Data)
{
    public static EventView Of(FinetuneEvent e) => new(e.Sequence, e.CreatedAt, e.Level, e.Type, e.Message, Json.Parse(e.DataJson));
}

internal sealed record DeletedView(Guid Id);

internal sealed record StatusView(Guid Id, string Status);

internal sealed record UsageView(int PromptTokens, int CompletionTokens, int TotalTokens);

/// <summary>The whole answer of <c>ai/run</c>, or, streamed, a piece of it.</summary>
/// <param name="Response">The text.</param>
/// <param name="ToolCalls">Functions that the model calls.</param>
/// <param name="FinishReason"><c>length</c> where <c>max_tokens</c> cut the answer; else absent, as in the original.</param>
/// <param name="Usage">In the whole answer, and in a stream's last piece.</param>
internal sealed record RunView(string Response, IReadOnlyList<RunToolCallView>? ToolCalls, string? FinishReason, UsageView? Usage);

/// <summary>The answer where <c>response_format</c> asks for JSON: the value itself.</summary>
internal sealed record RunValueView(JsonElement Response, IReadOnlyList<RunToolCallView>? ToolCalls, UsageView? Usage);

internal sealed record RunToolCallView(string Name, JsonElement Arguments);

internal sealed record TaskView(string Id, string Name, string Description);

internal sealed record PropertyView(string PropertyId, string Value);

internal sealed record ModelView(string Id, int Source, string Name, string Description, TaskView Task, DateTimeOffset? CreatedAt, IReadOnlyList<string> Tags, IReadOnlyList<PropertyView> Properties);

internal sealed record TokenVerifyView(string Id, string Status, DateTimeOffset? ExpiresOn);

internal sealed record OrganizationView(string Id, string Name, string Status);

internal sealed record UserView(string Id, string Email, string Username, string? FirstName, string? LastName, bool TwoFactorAuthenticationEnabled, bool Suspended, IReadOnlyList<OrganizationView> Organizations);

internal sealed record AccountSettingsView(bool EnforceTwofactor);

internal sealed record AccountView(string Id, string Name, string Type, AccountSettingsView Settings, DateTimeOffset CreatedOn);

internal sealed record MembershipView(string Id, string Status, AccountView Account, IReadOnlyList<string> Roles);

/// <summary>The body of a create, for the reference page.</summary>
internal sealed record CreateFinetuneView(string Model, string Name, string? Description, bool? Public);

internal sealed record ModelSchemaView(JsonObject Input, JsonObject Output);

internal sealed record AuthorView(string Id, string Name, string Description);

internal static class Json
{
    public static JsonElement? Parse(string? json) => json is null ? null : JsonElement.Parse(json);
}

/// <summary>RFC 3339 in UTC with milliseconds, as the original writes it.</summary>
internal sealed class TimestampConverter : JsonConverter<DateTimeOffset>
{
    public override DateTimeOffset Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => reader.GetDateTimeOffset();

    public override void Write(Utf8JsonWriter writer, DateTimeOffset value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'"));
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    Converters = [typeof(TimestampConverter)])]
[JsonSerializable(typeof(FinetuneView))]
[JsonSerializable(typeof(OwnFinetuneView))]
[JsonSerializable(typeof(IReadOnlyList<FinetuneView>))]
[JsonSerializable(typeof(IReadOnlyList<OwnFinetuneView>))]
[JsonSerializable(typeof(UploadedAssetView))]
[JsonSerializable(typeof(IReadOnlyList<AssetView>))]
[JsonSerializable(typeof(EventView))]
[JsonSerializable(typeof(IReadOnlyList<EventView>))]
[JsonSerializable(typeof(DeletedView))]
[JsonSerializable(typeof(StatusView))]
[JsonSerializable(typeof(RunView))]
[JsonSerializable(typeof(RunValueView))]
[JsonSerializable(typeof(IReadOnlyList<ModelView>))]
[JsonSerializable(typeof(TokenVerifyView))]
[JsonSerializable(typeof(UserView))]
[JsonSerializable(typeof(AccountView))]
[JsonSerializable(typeof(IReadOnlyList<AccountView>))]
[JsonSerializable(typeof(IReadOnlyList<MembershipView>))]
[JsonSerializable(typeof(CreateFinetuneView))]
[JsonSerializable(typeof(ModelSchemaView))]
[JsonSerializable(typeof(OpenRouterView))]
[JsonSerializable(typeof(IReadOnlyList<AuthorView>))]
[JsonSerializable(typeof(IReadOnlyList<TaskView>))]
internal sealed partial class CloudflareJson : JsonSerializerContext;
