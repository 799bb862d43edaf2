namespace Hone.Core.Finetunes;

/// <summary>A finetune, its job and its result: one row.</summary>
public sealed class Finetune
{
    public required Guid Id { get; init; }
    public required string AccountId { get; init; }
    public required string Name { get; init; }

    /// <summary>The base model's id.</summary>
    public required string Model { get; init; }
    public string? Description { get; init; }

    /// <summary>Other accounts may see and run it.</summary>
    public bool Public { get; init; }
    public FinetuneState State { get; private set; }
    public required DateTimeOffset CreatedAt { get; init; }
    public required DateTimeOffset ModifiedAt { get; set; }

    /// <summary>Set if and only if the state is final.</summary>
    public DateTimeOffset? FinalizedAt { get; private set; }

    /// <summary>Of the first attempt.</summary>
    public DateTimeOffset? StartedAt { get; set; }

    /// <summary>Greater is claimed first.</summary>
    public int Priority { get; init; }

    /// <summary>Grows with every claim; each write of an attempt must match it.</summary>
    public long Fence { get; set; }

    /// <summary>Begun, this one included; those that a shutdown or the death of their worker ended are not counted.</summary>
    public int Attempts { get; set; }

    /// <summary>Workers that died, or were away until the lease ended, while they had the job; since its last new checkpoint.</summary>
    public int WorkersLost { get; set; }

    /// <summary>Set if and only if the finetune is running. The database's clock.</summary>
    public DateTimeOffset? LeaseUntil { get; set; }

    /// <summary>Not claimed before. The database's clock.</summary>
    public DateTimeOffset? NotBefore { get; set; }
    public string? Worker { get; set; }
    public bool CancelRequested { get; set; }

    /// <summary>Set while the worker that runs it is to hold it back; never in another state.</summary>
    public bool PauseRequested { get; set; }

    /// <summary>SHA-256 of the last checkpoint's blob.</summary>
    public string? CheckpointBlob { get; set; }
    public int? CheckpointStep { get; set; }

    /// <summary>Seed as given with the job; null: from the configuration or the id.</summary>
    public long? Seed { get; init; }

    /// <summary>The training configuration as JSON (<c>TrainingConfig</c>); null: all automatic.</summary>
    public string? ConfigJson { get; set; }

    /// <summary>Part of the model's name; null: its place there is empty where <see cref="IsJob"/>, else the finetune's name.</summary>
    public string? Suffix { get; init; }

    /// <summary>Made as a job over stored files, and named by Hone.</summary>
    public bool IsJob { get; init; }

    /// <summary>The stored files that it learns from; they may be gone by now.</summary>
    public string? TrainingFileId { get; set; }
    public string? ValidationFileId { get; set; }

    /// <summary>The user's pairs, a JSON object of strings.</summary>
    public string? MetadataJson { get; init; }

    /// <summary>The last step's figures while running, the final metrics when ready.</summary>
    public string? MetricsJson { get; set; }
    public string? ErrorCode { get; set; }
    public string? ErrorMessage { get; set; }

    /// <summary>Moves along the table of <see cref="FinetuneStates"/>; anything else is a bug and throws.</summary>
    public void MoveTo(FinetuneState next, DateTimeOffset now)
    {
        if (!State.CanBecome(next))
            throw new InvalidOperationException($"A finetune that is {State.Name()} cannot become {next.Name()}.");
        State = next;
        ModifiedAt = now;
        FinalizedAt = next.IsFinal() ? now : null;
    }
}
