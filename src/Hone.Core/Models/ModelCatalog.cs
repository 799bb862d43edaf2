using System.Text.Json;
using System.Text.Json.Serialization;
using Hone.Core.Store;
using Microsoft.EntityFrameworkCore;

namespace Hone.Core.Models;

/// <summary>What the API tells about a base model.</summary>
public sealed record ModelMetadata
{
    public required string Name { get; init; }
    public required string Description { get; init; }
    public string? Architecture { get; init; }
    public long? Parameters { get; init; }
    public int? ContextLength { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(ModelMetadata))]
internal sealed partial class ModelJson : JsonSerializerContext;

/// <summary>The base models that can be fine-tuned and run: the embedded one and those added by path.</summary>
public sealed class ModelCatalog(HoneStore store, StoreWriter writer)
{
    public const string EmbeddedId = "@cf/huggingfacetb/smollm2-135m-instruct";
    private const string EmbeddedFile = "SmolLM2-135M-Instruct.Q4_1.gguf";
    private readonly Lazy<ModelEntry?> embedded = new(FindEmbedded);

    public async Task<IReadOnlyList<ModelEntry>> ListAsync(CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        List<ModelEntry> added = await db.Models.OrderBy(m => m.Id).ToListAsync(cancellationToken);
        return embedded.Value is { } first ? [first, .. added] : added;
    }

    /// <summary>By exact id. Null when there is none.</summary>
    public async Task<ModelEntry?> FindAsync(string? id, CancellationToken cancellationToken)
    {
        if (string.IsNullOrEmpty(id))
            return null;
        if (embedded.Value is { } first && first.Id == id)
            return first;
        await using HoneDbContext db = store.Read();
        return await db.Models.FirstOrDefaultAsync(m => m.Id == id, cancellationToken);
    }

    /// <summary>Takes a model that was added out of the catalogue; its file stays. False when there is none.</summary>
    public async Task<bool> RemoveAsync(string id, CancellationToken cancellationToken) =>
        await writer.RunAsync(async db => await db.Models.Where(m => m.Id == id).ExecuteDeleteAsync(cancellationToken), cancellationToken) > 0;

    public static ModelMetadata Metadata(ModelEntry entry) => JsonSerializer.Deserialize(entry.MetadataJson, ModelJson.Default.ModelMetadata)!;

    private static ModelEntry? FindEmbedded()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            var file = new FileInfo(Path.Combine(folder.FullName, "models", EmbeddedFile));
            if (!file.Exists)
                continue;
            var metadata = new ModelMetadata { Name = EmbeddedId, Description = "SmolLM2 135M Instruct (Apache-2.0), embedded in Hone.", Architecture = "llama" };
            return new ModelEntry
            {
                Id = EmbeddedId,
                Path = file.FullName,
                Size = file.Length,
                ModifiedAt = file.LastWriteTimeUtc,
                CreatedAt = file.LastWriteTimeUtc,
                MetadataJson = JsonSerializer.Serialize(metadata, ModelJson.Default.ModelMetadata),
            };
        }
        return null;
    }
}
