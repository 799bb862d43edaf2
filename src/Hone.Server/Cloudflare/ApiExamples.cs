using System.Text.Json;
using System.Text.Json.Nodes;

namespace Hone.Server.Cloudflare;

/// <summary>What the OpenAPI document shows: one finetune's story.</summary>
internal static class ApiExamples
{
    private static readonly Guid Id = Guid.Parse("bc451aef-f723-4b26-a6b2-901afd2e7a8a");
    private static readonly DateTimeOffset Created = new(2026, 11, 28, 12, 0, 0, TimeSpan.Zero), Later = Created.AddMinutes(2);
    private static readonly AccountView Account = new("023e105f4ecef8ad9ca31a8372d0c353", "default", "standard", new(false), Created);

    public static CreateFinetuneView Create { get; } = new(RunFields.ExampleModel, "support-triage", "Sorts customers' messages.", false);

    public static FinetuneView Finetune { get; } = new(Id, RunFields.ExampleModel, "support-triage", "Sorts customers' messages.", false, Created, Created);

    public static OwnFinetuneView OwnFinetune { get; } = new(
        Id, RunFields.ExampleModel, "support-triage", "Sorts customers' messages.", false, Created, Later, "running", JsonElement.Parse("""{"step":12,"steps":90,"loss":1.94}"""), null, Created.AddSeconds(5), null);

    public static OwnFinetuneView Cancelled { get; } = OwnFinetune with { Status = "cancelled", FinishedAt = Later };

    public static OwnFinetuneView Paused { get; } = OwnFinetune with { Status = "paused" };

    public static DeletedView Deleted { get; } = new(Id);

    public static UploadedAssetView Uploaded { get; } = new(
        "0b5f6f3d4a5c8e1f2a3b4c5d6e7f8091", Id, "training_config.json", "hone", Created, Created, "awaiting_assets", null, null);

    public static IReadOnlyList<AssetView> Assets { get; } =
        [new("training_data.jsonl", 123_456, "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", Created)];

    public static IReadOnlyList<EventView> Events { get; } = [new(1, Created, "info", "message", $"Created fine-tuning job: {Id}", null)];

    public static RunView Run { get; } = new("billing", null, null, new(42, 2, 44));

    public static IReadOnlyList<ModelView> Models { get; } =
        [new("3b6b1a0e-6b1c-5d62-9a0d-0d8b0d9c5a11", 1, RunFields.ExampleModel, "SmolLM2 135M Instruct.", Task, Created, [], [new("lora", "true"), new("context_window", "8192")])];

    public static ModelSchemaView Schema { get; } = new(
        new JsonObject { ["type"] = "object", ["description"] = "What the model is given.", ["additionalProperties"] = true }, new JsonObject { ["type"] = "object", ["description"] = "The answer.", ["additionalProperties"] = true });

    public static IReadOnlyList<AuthorView> Authors { get; } = [new("6f1f0c5e-8a2b-5c7d-b0e4-1d2c3b4a5968", "huggingfacetb", "1 model")];

    public static IReadOnlyList<TaskView> Tasks { get; } = [Task];

    public static TokenVerifyView Verified { get; } = new("ed17574386854bf78a67040be0a770b0", "active", null);

    public static UserView User { get; } = new(Account.Id, "admin@localhost", "default", null, null, false, false, [new(Account.Id, "default", "member")]);

    public static AccountView OneAccount => Account;

    public static IReadOnlyList<AccountView> Accounts { get; } = [Account];

    public static IReadOnlyList<MembershipView> Memberships { get; } = [new(Account.Id, "accepted", Account, ["Workers AI Write"])];

    private static TaskView Task => ModelEndpoints.TextGeneration;

    public static string RunInput => """{"messages":[{"role":"user","content":"Where is my parcel?"}],"lora":"support-triage","max_tokens":8}""";

    public static string RunGeneric => $$"""{"model":"{{RunFields.ExampleModel}}","input":{{RunInput}}}""";

    public static string RunStream => "data: {\"response\":\"bill\"}\n\ndata: {\"response\":\"ing\"}\n\ndata: {\"response\":\"\",\"usage\":{\"prompt_tokens\":42,\"completion_tokens\":2,\"total_tokens\":44}}\n\ndata: [DONE]\n\n";

    public static string EventStream => "id: 1\nevent: message\ndata: {\"sequence\":1,\"message\":\"Created fine-tuning job\"}\n\n";
}
