namespace Hone.Core.Finetunes;

/// <summary>What happened to a finetune, in order.</summary>
public sealed class FinetuneEvent
{
    public required Guid FinetuneId { get; init; }

    /// <summary>From 1, without gaps, within its finetune.</summary>
    public required long Sequence { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary><c>info</c>, <c>warn</c> or <c>error</c>.</summary>
    public required string Level { get; init; }

    /// <summary><c>message</c> or <c>metrics</c>.</summary>
    public required string Type { get; init; }
    public required string Message { get; init; }

    /// <summary>A JSON object; null: none.</summary>
    public string? DataJson { get; init; }
}

/// <summary>An event that is still to be stored.</summary>
public sealed record NewEvent(string Message, string Level = "info", string Type = "message", string? DataJson = null);
