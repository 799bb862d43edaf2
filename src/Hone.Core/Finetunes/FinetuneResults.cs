using Hone.Formats.Jobs;
using Hone.Formats.TrainingData;

namespace Hone.Core.Finetunes;

public sealed record CreateFinetune
{
    public required string? Model { get; init; }
    public required string? Name { get; init; }
    public string? Description { get; init; }
    public bool Public { get; init; }
    public long? Seed { get; init; }
}

/// <summary>A job over files that are stored already.</summary>
public sealed record CreateJob
{
    public required string? Model { get; init; }
    public required string? TrainingFile { get; init; }
    public string? ValidationFile { get; init; }
    public string? Suffix { get; init; }

    /// <summary>Null: one is drawn.</summary>
    public long? Seed { get; init; }
    public IReadOnlyDictionary<string, string>? Metadata { get; init; }
    public required TrainingConfig Config { get; init; }
}

public enum CreateErrorCode
{
    UnknownModel,
    BadName,
    ReservedName,
    DescriptionTooLong,
    TooManyFinetunes,
    UnknownFile,
}

/// <param name="Field">As the request spells it: <c>model</c>, <c>name</c>, <c>description</c>, <c>training_file</c> …; null where it is none.</param>
public sealed record CreateError(CreateErrorCode Code, string? Field, string Message);

public abstract record CreateResult
{
    private CreateResult() { }
    public sealed record Created(Finetune Finetune) : CreateResult;

    /// <summary>Every error of the request.</summary>
    public sealed record Invalid(IReadOnlyList<CreateError> Errors) : CreateResult;
    public sealed record DuplicateName(Guid ExistingId, string Message) : CreateResult;
}

public abstract record CancelResult
{
    private CancelResult() { }

    /// <summary>Cancelled at once, or asked of the worker that runs it: then <see cref="Finetunes.Finetune.CancelRequested"/> is set and it never becomes ready.</summary>
    public sealed record Accepted(Finetune Finetune) : CancelResult;
    public sealed record AlreadyEnded(string Message) : CancelResult;
    public sealed record NotFound : CancelResult;
}

/// <summary>The answer to a pause or a resume.</summary>
public abstract record HoldResult
{
    private HoldResult() { }

    /// <summary>Done, or asked of the worker that runs it: then it is still running, and <see cref="Finetunes.Finetune.PauseRequested"/> says which.</summary>
    public sealed record Accepted(Finetune Finetune) : HoldResult;

    /// <summary>Its state does not allow it.</summary>
    public sealed record Refused(Finetune Finetune, string Message) : HoldResult;
    public sealed record NotFound : HoldResult;
}

public enum UploadRefusal
{
    FinetuneNotFound,
    UnknownFileName,

    /// <summary>Over the limit of its kind.</summary>
    TooLarge,

    /// <summary>Other bytes are stored under this name; they stay.</summary>
    AlreadyStored,

    /// <summary>The finetune takes no more files, or not this one beside those it has.</summary>
    WrongState,

    /// <summary>The file's content: the errors say what and where.</summary>
    Invalid,
}

public abstract record UploadResult
{
    private UploadResult() { }

    /// <param name="Finetune">As it is after the upload: perhaps queued or ready.</param>
    /// <param name="Warnings">What the checks found worth saying.</param>
    public sealed record Stored(FinetuneAsset Asset, Finetune Finetune, IReadOnlyList<string> Warnings) : UploadResult
    {
        /// <summary>Of a training or validation file.</summary>
        public LintReport? Report { get; init; }
    }

    /// <summary>The same bytes are stored already; nothing changed.</summary>
    public sealed record SameAgain(FinetuneAsset Asset, Finetune Finetune) : UploadResult;

    /// <summary>Nothing is stored.</summary>
    public sealed record Refused(UploadRefusal Reason, IReadOnlyList<string> Errors) : UploadResult
    {
        /// <summary>Of a training, validation or configuration file that is <see cref="UploadRefusal.Invalid"/>.</summary>
        public LintReport? Report { get; init; }
    }
}

public enum PublicOrder
{
    CreatedAt,
    ModifiedAt,
    Name,
}
