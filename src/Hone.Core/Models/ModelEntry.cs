namespace Hone.Core.Models;

/// <summary>A base model that the catalogue offers.</summary>
public sealed class ModelEntry
{
    /// <summary>For example <c>@cf/huggingfacetb/smollm2-135m-instruct</c>.</summary>
    public required string Id { get; init; }

    /// <summary>Absolute path of the GGUF file.</summary>
    public required string Path { get; init; }

    /// <summary>Lower-case hex SHA-256 of the file; null: not computed yet.</summary>
    public string? Sha256 { get; init; }
    public required long Size { get; init; }

    /// <summary>The file's time of change: with the size, tells that it is still the same file.</summary>
    public required DateTimeOffset ModifiedAt { get; init; }

    /// <summary>A JSON object: <see cref="ModelMetadata"/>.</summary>
    public required string MetadataJson { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
}
