using Hone.Core.Finetunes;
using Hone.Core.Models;
using Hone.Formats;
using Hone.Server.Auth;
using Hone.Server.Requests;

namespace Hone.Server.OpenAI;

/// <summary><c>/models</c>: bases, the account's finetunes that are ready, and their checkpoints.</summary>
internal static class OpenAIModelEndpoints
{
    public static void MapOpenAIModels(this IEndpointRouteBuilder api)
    {
        api.MapGet("/models", ListAsync).WithSummary("List models")
            .Gives(OpenAIExamples.List(OpenAIExamples.Model), OpenAIJson.Default.ListViewOpenAIModelView);
        api.MapGet("/models/{**model}", GetAsync).WithSummary("Get a model")
            .Gives(OpenAIExamples.Model, OpenAIJson.Default.OpenAIModelView, OpenAIError.ModelNotFound("none"));
        api.MapDelete("/models/{**model}", DeleteAsync).NeedsWrite().WithSummary("Delete a fine-tuned model")
            .Gives(new DeletedView(OpenAIExamples.Model.Id, "model", true), OpenAIJson.Default.DeletedView, OpenAIError.ModelNotFound("none"), OpenAIError.InsufficientPermissions("It is a base model."), AskedForACheckpoint(OpenAIExamples.Model.Id));
    }

    private static async Task<IResult> ListAsync(HttpContext context, ModelCatalog models, FinetuneService finetunes, CancellationToken cancellationToken)
    {
        var views = new List<OpenAIModelView>();
        views.AddRange((await models.ListAsync(cancellationToken)).Select(Base));
        foreach (var finetune in await finetunes.ListAsync(context.Caller().AccountId, cancellationToken))
        {
            if (finetune.State is FinetuneState.Ready)
                views.Add(Own(finetune, null));
            views.AddRange((await finetunes.ListCheckpointsAsync(finetune.Id, cancellationToken)).Select(c => Own(finetune, c)));
        }
        return OpenAIAnswers.Of(new ListView<OpenAIModelView>(views, false), OpenAIJson.Default.ListViewOpenAIModelView);
    }

    private static async Task<IResult> GetAsync(HttpContext context, ModelCatalog models, FinetuneService finetunes, CancellationToken cancellationToken)
    {
        string name = Name(context);
        if (await models.FindAsync(name, cancellationToken) is { } entry)
            return OpenAIAnswers.Of(Base(entry), OpenAIJson.Default.OpenAIModelView);
        return await finetunes.FindModelAsync(context.Caller().AccountId, name, cancellationToken) is var (finetune, checkpoint) && (checkpoint is not null || finetune.State is FinetuneState.Ready)
            ? OpenAIAnswers.Of(Own(finetune, checkpoint), OpenAIJson.Default.OpenAIModelView)
            : OpenAIError.ModelNotFound(name);
    }

    /// <summary>The finetune, whose job has ended, goes with its files, events and checkpoints.</summary>
    private static async Task<IResult> DeleteAsync(HttpContext context, ModelCatalog models, FinetuneService finetunes, CancellationToken cancellationToken)
    {
        string name = Name(context), account = context.Caller().AccountId;
        if (await models.FindAsync(name, cancellationToken) is not null)
            return OpenAIError.InsufficientPermissions($"{name.Shown()} is a base model; fine-tuned models alone can be deleted. `hone models remove` takes a base away.");
        if (await finetunes.FindModelAsync(account, name, cancellationToken) is not var (finetune, checkpoint) || finetune.AccountId != account)
            return OpenAIError.ModelNotFound(name);
        if (checkpoint is not null)
            return AskedForACheckpoint(FinetuneRules.ModelName(finetune));
        if (!finetune.State.IsFinal())
            return new OpenAIError(400, $"The model {name.Shown()} is not there yet: its job is {finetune.State.Name()}. Cancel the job first.", "model", "model_not_ready");
        await finetunes.DeleteAsync(account, finetune.Id.ToString("D"), cancellationToken);
        return OpenAIAnswers.Of(new DeletedView(name, "model", true), OpenAIJson.Default.DeletedView);
    }

    private static OpenAIError AskedForACheckpoint(string model) => new(400, $"A checkpoint goes with its model; delete {model}.", "model");

    /// <summary>With raw slashes, or encoded.</summary>
    private static string Name(HttpContext context) => RawPath.From(context, OpenAIPaths.Length(context.Request.Path) + 1);

    private static OpenAIModelView Base(ModelEntry entry) => new(entry.Id, entry.CreatedAt.ToUnixTimeSeconds(), entry.Id.Split('/') is [_, var author, ..] ? author : "hone");

    private static OpenAIModelView Own(Finetune finetune, FinetuneCheckpoint? checkpoint) => checkpoint is null
        ? new(FinetuneRules.ModelName(finetune), (finetune.FinalizedAt ?? finetune.CreatedAt).ToUnixTimeSeconds(), finetune.AccountId)
        : new(FinetuneRules.CheckpointName(finetune, checkpoint.Step), checkpoint.CreatedAt.ToUnixTimeSeconds(), finetune.AccountId);
}
