using System.Security.Cryptography;
using System.Text;
using Hone.Core.Models;
using Hone.Server.Hosting;

namespace Hone.Server.Cloudflare;

/// <summary><c>/ai/models/search</c>: the base models, in pages; an empty one past the last.</summary>
internal static class ModelEndpoints
{
    private static readonly TaskView TextGeneration = new(
        "c329a1f9-323d-4e91-b2aa-582dd4188d34", "Text Generation",
        "Family of generative text models, such as large language models (LLM), that can be adapted for a variety of natural language tasks.");

    public static void MapModels(this IEndpointRouteBuilder account) =>
        account.MapGet("/ai/models/search", SearchAsync).WithSummary("Search the base models")
            .TakesQuery("search", "Part of the id or the description").TakesQuery("task", "Text Generation").TakesQuery("author", "Second part of the id")
            .TakesQuery("page", "Default 1").TakesQuery("per_page", "Default 100")
            .Answers<IReadOnlyList<ModelView>>();

    private static async Task<IResult> SearchAsync(HttpContext context, ModelCatalog models, CancellationToken cancellationToken)
    {
        var query = context.Request.Query;
        string search = query["search"].ToString(), task = query["task"].ToString(), author = query["author"].ToString(), source = query["source"].ToString();
        IReadOnlyList<ModelView> found = [.. (await models.ListAsync(cancellationToken))
            .Where(m => author.Length == 0 || string.Equals(Author(m.Id), author, StringComparison.OrdinalIgnoreCase))
            .Select(View)
            .Where(m => task.Length == 0 || string.Equals(m.Task.Name, task, StringComparison.OrdinalIgnoreCase))
            .Where(m => source.Length == 0 || source == m.Source.ToString())
            .Where(m => m.Name.Contains(search, StringComparison.OrdinalIgnoreCase) || m.Description.Contains(search, StringComparison.OrdinalIgnoreCase))];
        var paging = Paging.Of(query, 100);
        IReadOnlyList<ModelView> page = [.. paging.Take(found)];
        return new Answer<IReadOnlyList<ModelView>>(page, CloudflareJson.Default.IReadOnlyListModelView)
        {
            Page = new(paging.Page, paging.PerPage, page.Count, found.Count),
        };
    }

    private static string Author(string modelId) => modelId.Split('/') is [_, var author, ..] ? author : "";

    private static ModelView View(ModelEntry entry)
    {
        var metadata = ModelCatalog.Metadata(entry);
        List<PropertyView> properties = [new("lora", "true")];
        if (metadata.ContextLength is { } context)
            properties.Add(new("context_window", context.ToString()));
        return new(StableId(entry.Id).ToString(), 1, entry.Id, metadata.Description, TextGeneration, entry.CreatedAt, [], properties);
    }

    /// <summary>Clients want an id beside the name: the same for the same name, everywhere.</summary>
    private static Guid StableId(string modelId) => new(SHA256.HashData(Encoding.UTF8.GetBytes(modelId)).AsSpan(0, 16), bigEndian: true);
}
