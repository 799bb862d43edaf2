using Hone.Core.Store;

namespace Hone.Core.Files;

/// <summary>A file of an account: uploaded, a finetune's data, or what its job made. Its bytes are a blob that others may name too.</summary>
public sealed class StoredFile
{
    private const string IdPrefix = "file-";

    /// <summary>For people to fine-tune with.</summary>
    public const string FineTune = "fine-tune";

    /// <summary>Made by a job.</summary>
    public const string FineTuneResults = "fine-tune-results";

    /// <summary><c>file-</c> and 32 hex digits.</summary>
    public required string Id { get; init; }
    public required string AccountId { get; init; }

    /// <summary>The finetune that it came with and goes with; null: it stands by itself.</summary>
    public Guid? FinetuneId { get; init; }
    public required string FileName { get; init; }
    public required string Purpose { get; init; }

    /// <summary>Lower-case hex; names the blob.</summary>
    public required string Sha256 { get; init; }
    public required long Size { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }

    public static string NewId(DateTimeOffset now) => $"{IdPrefix}{Guid.CreateVersion7(now):n}";

    /// <summary>When the file of this id was made; null where the id does not tell.</summary>
    public static DateTimeOffset? TimeOf(string id) =>
        id.StartsWith(IdPrefix, StringComparison.Ordinal) && Guid.TryParseExact(id.AsSpan(IdPrefix.Length), "N", out Guid own) ? TimeOrderedId.TimeOf(own) : null;
}

/// <summary>A file that comes in parts.</summary>
public sealed class FileUpload
{
    public const string Pending = "pending", Completed = "completed", Cancelled = "cancelled", Expired = "expired";

    /// <summary><c>upload_</c> and 32 hex digits.</summary>
    public required string Id { get; init; }
    public required string AccountId { get; init; }
    public required string FileName { get; init; }
    public required string Purpose { get; init; }

    /// <summary>Of all parts together, as announced.</summary>
    public required long Size { get; init; }
    public required string Status { get; set; }
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>A pending one takes no more parts from then on.</summary>
    public required DateTimeOffset ExpiresAt { get; init; }

    /// <summary>What it became.</summary>
    public string? FileId { get; set; }
}

public sealed class FileUploadPart
{
    /// <summary><c>part_</c> and 32 hex digits.</summary>
    public required string Id { get; init; }
    public required string UploadId { get; init; }
    public required string Sha256 { get; init; }
    public required long Size { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
}
