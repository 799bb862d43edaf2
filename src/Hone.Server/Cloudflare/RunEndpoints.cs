using System.Text;
using System.Text.Json;
using Hone.Core.Blobs;
using Hone.Core.Finetunes;
using Hone.Core.Inference;
using Hone.Core.Models;
using Hone.Formats;
using Hone.Formats.Inference;
using Hone.Server.Auth;
using Hone.Server.Hosting;
using Hone.Server.Requests;

namespace Hone.Server.Cloudflare;

/// <summary><c>/ai/run/{model}</c> and <c>/ai/run</c>: text from a base model, alone or with a finetune's adapter.</summary>
internal static class RunEndpoints
{
    /// <summary>First segment of the model's id in <c>/client/v4/accounts/A/ai/run/@cf/author/model</c>.</summary>
    private const int ModelSegment = 6;

    /// <summary>A recursive schema sets no bound to an answer's depth.</summary>
    private static readonly JsonDocumentOptions DeepJson = new() { MaxDepth = 10_000 };

    public static void MapRun(this IEndpointRouteBuilder account)
    {
        ApiError[] errors =
            [
                ApiErrors.BadInput("'max_tokens' is 0, it must lie between 1 and 131072"), ApiErrors.NoSuchModel("@cf/none/none"), ApiErrors.FinetuneNotFound("nobody"),
                ApiErrors.FinetuneNotReady("support-triage", "it is queued: its events tell how far it is"), ApiErrors.TooLong("the prompt is longer than the context"), ApiErrors.Busy, ApiErrors.TooLarge(GenerateRequest.LongestBody),
                ApiErrors.EngineFailed(500, "the engine ended in the middle of the answer"), ApiErrors.EngineFailed(503, "the engine does not start"),
            ];
        account.MapPost("/ai/run", RunGenericAsync).WithSummary("Run a model named in the body").TakesJson(RunFields.Generic, ApiExamples.RunGeneric)
            .Answers(ApiExamples.Run, CloudflareJson.Default.RunView, errors).AlsoStreams(ApiExamples.RunStream);
        account.MapPost("/ai/run/{**model}", RunModelAsync).WithSummary("Run a model")
            .WithDescription("With prompt or messages; response_format holds the answer to JSON, tools are functions that the model may call; lora takes a finetune's id or name; stream answers as text/event-stream.")
            .TakesJson(RunFields.Shape.Schema, ApiExamples.RunInput)
            .Answers(ApiExamples.Run, CloudflareJson.Default.RunView, errors).AlsoStreams(ApiExamples.RunStream);
    }

    private static async Task<IResult> RunModelAsync(HttpContext context, RunServices services, CancellationToken cancellationToken)
    {
        string model = RawPath.From(context, ModelSegment);
        var body = await JsonBody.ReadAsync(context, GenerateRequest.LongestBody, cancellationToken);
        return body.Malformed is { } why
            ? ApiErrors.BadInput(why)
            : await RunAsync(context, services, model, body.Root, alone: false, cancellationToken);
    }

    private static async Task<IResult> RunGenericAsync(HttpContext context, RunServices services, CancellationToken cancellationToken)
    {
        var body = await JsonBody.ReadAsync(context, GenerateRequest.LongestBody, cancellationToken);
        if (body.Malformed is { } why)
            return ApiErrors.BadInput(why);
        var fields = new BodyFields(body.Root);
        string? model = fields.Text("model");
        if (!fields.Has("model") || model is "")
            fields.Fail("model", "'model' is required: it names the model to run");
        var input = fields.Find("input");
        if (input is not { ValueKind: JsonValueKind.Object })
            fields.Fail("input", "'input' is required: an object with 'prompt' or 'messages'");
        bool alone = RunFields.RejectIfBusy(fields);
        return fields.Errors.Count > 0
            ? ApiErrors.BadInput(fields.Errors.Select(e => e.Error))
            : await RunAsync(context, services, model!, input!.Value, alone, cancellationToken);
    }

    private static async Task<IResult> RunAsync(HttpContext context, RunServices services, string model, JsonElement input, bool alone, CancellationToken cancellationToken)
    {
        if (await services.Models.FindAsync(model, cancellationToken) is null)
            return ApiErrors.NoSuchModel(model);
        var fields = new BodyFields(input);
        if (RunRequest.Parse(fields) is not { } run)
            return ApiErrors.BadInput(fields.Errors.Select(e => e.Error));
        var generate = run.Generate;
        if (run.Lora is { } lora)
        {
            var (adapter, error) = await FindAdapterAsync(services, context.Caller().AccountId, model, lora, cancellationToken);
            if (adapter is null)
                return error!;
            generate = generate with { AdapterPath = adapter.Path, AdapterKey = adapter.Key };
        }
        using var turn = services.Load.Enter(model, alone || run.RejectIfBusy);
        if (turn is null)
            return ApiErrors.Busy;
        // The first event decides whether the answer has a status of its own; after that, a stream has begun.
        await using var events = services.Engines.GenerateAsync(model, generate, cancellationToken).GetAsyncEnumerator(cancellationToken);
        if (!await events.MoveNextAsync())
            return ApiErrors.EngineFailed(500, "the engine ended without an answer");
        if (events.Current is GenerateEvent.Failed failed)
            return Describe(failed);
        return run.Stream
            ? await StreamAsync(context, events, cancellationToken)
            : await CollectAsync(events, asValue: generate.Schema is not null);
    }

    private static async Task<(AdapterFolder?, ApiError?)> FindAdapterAsync(RunServices services, string accountId, string model, string lora, CancellationToken cancellationToken)
    {
        if (await services.Finetunes.FindAsync(accountId, lora, includePublic: true, cancellationToken) is not { } finetune)
            return (null, ApiErrors.FinetuneNotFound(lora));
        if (finetune.Model != model)
            return (null, ApiErrors.BadInput($"finetune {lora.Shown()} belongs to the model {finetune.Model}, run it with that one"));
        if (finetune.State is not FinetuneState.Ready)
            return (null, ApiErrors.FinetuneNotReady(lora, finetune.AccountId == accountId ? $"it is {finetune.State.Name()}{Why(finetune)}" : "its owner has not finished it"));
        return await services.Adapters.GetAsync(finetune.Id, cancellationToken) is { } adapter
            ? (adapter, null)
            : (null, ApiErrors.FinetuneNotReady(lora, "its adapter files are missing"));
    }

    private static string Why(Finetune finetune) => finetune.State switch
    {
        FinetuneState.AwaitingAssets => ": upload training_data.jsonl, or adapter_config.json and adapter_model.safetensors",
        FinetuneState.Failed => $": {finetune.ErrorMessage}",
        FinetuneState.Cancelled => ": create another one with its files",
        FinetuneState.Paused => ": resume it",
        _ => ": its events tell how far it is",
    };

    private static async Task<IResult> CollectAsync(IAsyncEnumerator<GenerateEvent> events, bool asValue)
    {
        var text = new StringBuilder();
        List<RunToolCallView>? calls = null;
        do
        {
            switch (events.Current)
            {
                case GenerateEvent.Token token:
                    text.Append(token.Text);
                    break;
                case GenerateEvent.ToolCall call:
                    (calls ??= []).Add(View(call));
                    break;
                case GenerateEvent.Failed failed:
                    return Describe(failed);
                case GenerateEvent.Done { FinishReason: not "length" } done when asValue && calls is null:
                    return Envelope.Ok(new RunValueView(JsonElement.Parse(text.ToString(), DeepJson), null, Usage(done)), CloudflareJson.Default.RunValueView);
                case GenerateEvent.Done done:
                    return Envelope.Ok(new RunView(text.ToString(), calls, Cut(done), Usage(done)), CloudflareJson.Default.RunView);
                default:
                    throw new InvalidOperationException($"Unknown event {events.Current}.");
            }
        }
        while (await events.MoveNextAsync());
        return ApiErrors.EngineFailed(500, "the engine ended in the middle of the answer");
    }

    private static async Task<IResult> StreamAsync(HttpContext context, IAsyncEnumerator<GenerateEvent> events, CancellationToken cancellationToken)
    {
        var stream = new ServerSentEvents(context);
        await stream.StartAsync(cancellationToken);
        try
        {
            do
            {
                switch (events.Current)
                {
                    case GenerateEvent.Token { Text.Length: > 0 } token:
                        await stream.WriteAsync(new RunView(token.Text, null, null, null), CloudflareJson.Default.RunView, cancellationToken);
                        break;
                    case GenerateEvent.ToolCall call:
                        await stream.WriteAsync(new RunView("", [View(call)], null, null), CloudflareJson.Default.RunView, cancellationToken);
                        break;
                    case GenerateEvent.Failed failed:
                        await WriteErrorAsync(stream, context, Describe(failed), cancellationToken);
                        return Results.Empty;
                    case GenerateEvent.Done done:
                        await stream.WriteAsync(new RunView("", null, Cut(done), Usage(done)), CloudflareJson.Default.RunView, cancellationToken);
                        await stream.WriteDoneAsync(cancellationToken);
                        return Results.Empty;
                }
            }
            while (await events.MoveNextAsync());
            await WriteErrorAsync(stream, context, ApiErrors.EngineFailed(500, "the engine ended in the middle of the answer"), cancellationToken);
        }
        catch (EngineException e)
        {
            // Too late for a status: the stream says it and ends without [DONE].
            await WriteErrorAsync(stream, context, RequestIdentity.Describe(e), cancellationToken);
        }
        return Results.Empty;
    }

    public static Task WriteErrorAsync(ServerSentEvents stream, HttpContext context, ApiError error, CancellationToken cancellationToken) =>
        stream.WriteAsync(writer => error.WriteBody(writer, context.RequestUuid()), cancellationToken, name: "error");

    private static ApiError Describe(GenerateEvent.Failed failed) => failed.Code switch
    {
        "bad_input" => ApiErrors.BadInput(failed.Message),
        "too_long" => ApiErrors.TooLong(failed.Message),
        "bad_adapter" => new ApiError(400, 3039, $"AiError: {failed.Message}") { FromAi = true },
        _ => ApiErrors.EngineFailed(500, failed.Message),
    };

    private static RunToolCallView View(GenerateEvent.ToolCall call) => new(call.Name, JsonElement.Parse(call.Arguments, DeepJson));

    private static string? Cut(GenerateEvent.Done done) => done.FinishReason == "length" ? "length" : null;

    private static UsageView Usage(GenerateEvent.Done done) => new(done.PromptTokens, done.CompletionTokens, done.PromptTokens + done.CompletionTokens);
}

/// <summary>What running a model needs.</summary>
internal sealed record RunServices(ModelCatalog Models, FinetuneService Finetunes, AdapterFolders Adapters, EnginePool Engines, ModelLoad Load);

/// <summary>Requests under way, by model.</summary>
internal sealed class ModelLoad
{
    private readonly Lock gate = new();
    private readonly Dictionary<string, int> running = [];

    /// <summary>Null where <paramref name="alone"/> is asked and another request of the model is under way.</summary>
    public IDisposable? Enter(string model, bool alone)
    {
        lock (gate)
        {
            int count = running.GetValueOrDefault(model);
            if (alone && count > 0)
                return null;
            running[model] = count + 1;
            return new Turn(this, model);
        }
    }

    private void Leave(string model)
    {
        lock (gate)
        {
            if (--running[model] == 0)
                running.Remove(model);
        }
    }

    private sealed class Turn(ModelLoad load, string model) : IDisposable
    {
        public void Dispose() => load.Leave(model);
    }
}
