using System.Text.Json;
using Hone.Server.Cloudflare;

namespace Hone.Server.OpenAI;

/// <summary>What the OpenAPI document shows of this dialect: one job's story.</summary>
internal static class OpenAIExamples
{
    private const string Account = "023e105f4ecef8ad9ca31a8372d0c353", Id = "7f1c2d840d584c7e9f6a2b1d1f4a9a10", JobId = $"ftjob-{Id}", Base = RunFields.ExampleModel;
    private const string Tuned = $"ft:{Base}:{Account}:triage:{Id}";
    private const long Then = 1_790_000_000;

    public const string Create = $$$"""{"model":"{{{Base}}}","training_file":"file-1","suffix":"triage","seed":7,"hyperparameters":{"n_epochs":3}}""";
    public const string Announce = """{"filename":"train.jsonl","purpose":"fine-tune","bytes":4096,"mime_type":"text/jsonl"}""";
    public const string Complete = """{"part_ids":["part-1","part-2"]}""";
    public const string Chat = $$"""{"model":"{{Base}}","messages":[{"role":"user","content":"Where is my parcel?"}],"max_tokens":64}""";
    public const string Complement = $$"""{"model":"{{Base}}","prompt":"The parcel is","max_tokens":16}""";

    public static readonly FileView File = new("file-1", 4096, Then, "train.jsonl", "fine-tune");
    public static readonly UploadView Upload = new("upload-1", 4096, Then, "train.jsonl", "fine-tune", "pending", Then + 3600, null);
    public static readonly UploadPartView Part = new("part-1", Then, "upload-1");
    public static readonly JobView Job = new(
        JobId, Base, Then, Then + 60, Tuned, Account, ["file-2"], "succeeded", null, "file-1", Hyperparameters, 1200, null, "triage", 7, null,
        new MethodView("supervised") { Supervised = new MethodSettingsView(Hyperparameters) }, null);
    public static readonly JobEventView Event = new($"ftevent-{Id}-4", Then, "info", "Fine-tuning job started", null, "message");
    public static readonly CheckpointView Checkpoint = new($"ftckpt_{Id}_4", Then, $"{Tuned}:ckpt-step-4", 4, JsonElement.Parse("""{"step":4,"train_loss":0.5}"""), JobId);
    public static readonly OpenAIModelView Model = new(Tuned, Then, Account);
    public static readonly ChatView ChatAnswer = new("chatcmpl-1", Then, Base, [new ChatChoiceView(0, new ChatMessageView("It is on its way."), null, "stop")], Usage);
    public static readonly ChatChunkView ChatChunk = new("chatcmpl-1", Then, Base, [new ChunkChoiceView(0, new DeltaView { Content = " on" }, null, null)]);
    public static readonly CompletionView Completion = new("cmpl-1", Then, Base, [new CompletionChoiceView(0, " on its way.", null, "stop")]) { Usage = Usage.AsJson() };

    private static HyperparametersView Hyperparameters => new(JsonElement.Parse("3"), JsonElement.Parse("8"), JsonElement.Parse("1"));

    private static TokenUsageView Usage => new(12, 6, 18, new PromptDetailsView(0));

    public static ListView<T> List<T>(T item) => new([item], false);
}
