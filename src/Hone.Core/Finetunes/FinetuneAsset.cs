namespace Hone.Core.Finetunes;

/// <summary>A file of a finetune: uploaded, or made by its job.</summary>
public sealed class FinetuneAsset
{
    public required Guid FinetuneId { get; init; }
    public required string FileName { get; init; }

    /// <summary>Lower-case hex; names the blob.</summary>
    public required string Sha256 { get; init; }
    public required long Size { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
}

/// <summary>A stored file, open for reading. Its owner disposes the stream.</summary>
public sealed record AssetContent(FinetuneAsset Asset, Stream Content) : IAsyncDisposable
{
    public ValueTask DisposeAsync() => Content.DisposeAsync();
}
