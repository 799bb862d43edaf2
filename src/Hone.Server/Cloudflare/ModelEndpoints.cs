using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Serialization.Metadata;
using Hone.Core.Models;
using Hone.Formats;
using Hone.Server.Hosting;

namespace Hone.Server.Cloudflare;

/// <summary><c>/ai/models/search</c>, <c>/ai/models/schema</c>, <c>/ai/authors/search</c>, <c>/ai/tasks/search</c>: the base models and what they take.</summary>
internal static class ModelEndpoints
{
    /// <summary>The original's numbers: 1 its own models, 2 those that users brought. Here the embedded base, and what was added.</summary>
    private const int Embedded = 1, Added = 2;

    internal static readonly TaskView TextGeneration = new(
        "c329a1f9-323d-4e91-b2aa-582dd4188d34", "Text Generation",
        "Family of generative text models, such as large language models (LLM), that can be adapted for a variety of natural language tasks.");

    public static void MapModels(this IEndpointRouteBuilder account)
    {
        account.MapGet("/ai/models/search", SearchAsync).WithSummary("Search the base models")
            .TakesQuery("search", "Part of the id or the description").TakesQuery("task", "A task's name: Text Generation").TakesQuery("author", "First part of the id, without its @cf/")
            .TakesQuery("source", "1: the embedded base, 2: models that were added").TakesQuery("hide_experimental", "true or false; no model here is experimental")
            .TakesQuery("format", "openrouter answers in that marketplace's form").TakesQuery("page", "Default 1").TakesQuery("per_page", "Default 100")
            .Answers(ApiExamples.Models, CloudflareJson.Default.IReadOnlyListModelView, FinetuneEndpoints.Refused(400, ApiErrors.InvalidField, "'source' is 'x', it must be a number: 1 or 2"))
            .OrAnswersBare<OpenRouterView>();
        account.MapGet("/ai/models/schema", SchemaAsync).WithSummary("What running a model takes and gives, as JSON Schema")
            .TakesQuery("model", "The model's id", RunFields.ExampleModel, required: true)
            .Answers(ApiExamples.Schema, CloudflareJson.Default.ModelSchemaView, ApiErrors.BadInput("'model' is required: the id of a model, as models/search lists them"), ApiErrors.NoSuchModel("@cf/none/none"));
        account.MapGet("/ai/authors/search", AuthorsAsync).WithSummary("List the base models' authors")
            .TakesQuery("page", "Default 1").TakesQuery("per_page", "Default 100").Answers(ApiExamples.Authors, CloudflareJson.Default.IReadOnlyListAuthorView);
        account.MapGet("/ai/tasks/search", Tasks).WithSummary("List the base models' tasks")
            .TakesQuery("page", "Default 1").TakesQuery("per_page", "Default 100").Answers(ApiExamples.Tasks, CloudflareJson.Default.IReadOnlyListTaskView);
        // SDKs spell it in one word, the documentation in two.
        foreach (string path in (string[])["/ai/tomarkdown/{**rest}", "/ai/to-markdown/{**rest}"])
            account.Map(path, () => ApiErrors.NotOffered("Conversion to Markdown")).ExcludeFromDescription();
    }

    private static async Task<IResult> SearchAsync(HttpContext context, ModelCatalog models, CancellationToken cancellationToken)
    {
        var query = context.Request.Query;
        string search = query["search"].ToString(), task = query["task"].ToString(), author = query["author"].ToString(), format = query["format"].ToString();
        var errors = new List<ApiMessage>();
        int? source = null;
        if (query["source"].ToString() is { Length: > 0 } given && (source = Paging.Number(query, "source", 0, int.MaxValue)) is null)
            errors.Add(new(ApiErrors.InvalidField, $"'source' is '{given.Shown(60)}', it must be a number: 1 or 2"));
        if (query["hide_experimental"].ToString() is { Length: > 0 } hide && !bool.TryParse(hide, out _) && hide is not ("0" or "1"))
            errors.Add(new(ApiErrors.InvalidField, $"'hide_experimental' is '{hide.Shown(60)}', it must be true or false"));
        if (format is not ("" or OpenRouter.Format))
            errors.Add(new(ApiErrors.InvalidField, $"'format' is '{format.Shown(60)}', it must be {OpenRouter.Format} or absent"));
        if (errors.Count > 0)
            return new ApiError(400, errors) { FromAi = true };
        IReadOnlyList<ModelEntry> found = [.. (await models.ListAsync(cancellationToken))
            .Where(m => author.Length == 0 || string.Equals(Author(m.Id), author, StringComparison.OrdinalIgnoreCase))
            .Where(m => task.Length == 0 || string.Equals(TextGeneration.Name, task, StringComparison.OrdinalIgnoreCase))
            .Where(m => source is null || source == Source(m))
            .Where(m => m.Id.Contains(search, StringComparison.OrdinalIgnoreCase) || ModelCatalog.Metadata(m).Description.Contains(search, StringComparison.OrdinalIgnoreCase))];
        var paging = Paging.Of(query, 100);
        return format == OpenRouter.Format
            ? TypedResults.Json(OpenRouter.View([.. paging.Take(found)]), CloudflareJson.Default.OpenRouterView)
            : Page(paging, found, View, CloudflareJson.Default.IReadOnlyListModelView);
    }

    private static async Task<IResult> SchemaAsync(HttpContext context, ModelCatalog models, CancellationToken cancellationToken)
    {
        string model = context.Request.Query["model"].ToString();
        if (model.Length == 0)
            return ApiErrors.BadInput("'model' is required: the id of a model, as models/search lists them");
        return await models.FindAsync(model, cancellationToken) is null
            ? ApiErrors.NoSuchModel(model)
            : Envelope.Ok(new(RunFields.Shape.Schema(), RunFields.Output()), CloudflareJson.Default.ModelSchemaView);
    }

    private static async Task<IResult> AuthorsAsync(HttpContext context, ModelCatalog models, CancellationToken cancellationToken)
    {
        IReadOnlyList<IGrouping<string, ModelEntry>> authors = [.. (await models.ListAsync(cancellationToken))
            .GroupBy(m => Author(m.Id), StringComparer.OrdinalIgnoreCase).Where(a => a.Key.Length > 0).OrderBy(a => a.Key, StringComparer.Ordinal)];
        return Page(Paging.Of(context.Request.Query, 100), authors, a => new AuthorView(StableId(a.Key).ToString(), a.Key, a.Count() == 1 ? "1 model" : $"{a.Count()} models"), CloudflareJson.Default.IReadOnlyListAuthorView);
    }

    private static Answer<IReadOnlyList<TaskView>> Tasks(HttpContext context) =>
        Page(Paging.Of(context.Request.Query, 100), [TextGeneration], task => task, CloudflareJson.Default.IReadOnlyListTaskView);

    private static Answer<IReadOnlyList<TView>> Page<T, TView>(Paging paging, IReadOnlyList<T> all, Func<T, TView> view, JsonTypeInfo<IReadOnlyList<TView>> type)
    {
        IReadOnlyList<TView> page = [.. paging.Take(all).Select(view)];
        return new(page, type) { Page = new(paging.Page, paging.PerPage, page.Count, all.Count) };
    }

    private static string Author(string modelId) => modelId.Split('/') is [_, var author, ..] ? author : "";

    private static int Source(ModelEntry entry) => entry.Id == ModelCatalog.EmbeddedId ? Embedded : Added;

    private static ModelView View(ModelEntry entry)
    {
        var metadata = ModelCatalog.Metadata(entry);
        List<PropertyView> properties = [new("lora", "true")];
        if (metadata.ContextLength is { } context)
            properties.Add(new("context_window", context.ToString()));
        return new(StableId(entry.Id).ToString(), Source(entry), entry.Id, metadata.Description, TextGeneration, entry.CreatedAt, [], properties);
    }

    /// <summary>Clients want an id beside the name: the same for the same name, everywhere.</summary>
    private static Guid StableId(string name) => new(SHA256.HashData(Encoding.UTF8.GetBytes(name)).AsSpan(0, 16), bigEndian: true);
}
