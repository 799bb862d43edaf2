namespace Hone.Formats.Jobs;

/// <summary>
/// <c>training_config.json</c>. Every key is optional and may be <c>"auto"</c>; both are a null here. The trainer resolves nulls once, before the first step,
/// and reports each value with its origin.
/// </summary>
public sealed record TrainingConfig
{
    public const string FileName = "training_config.json";

    /// <summary><c>supervised</c> or <c>dpo</c>.</summary>
    public string? Method { get; init; }

    /// <summary>The fine-tuned model, or checkpoint, whose adapter the training goes on with; what shapes an adapter is that one's. Null: a new adapter.</summary>
    public string? StartFrom { get; init; }
    public int? NEpochs { get; init; }

    /// <summary>Rows a step.</summary>
    public int? BatchSize { get; init; }
    public double? LearningRate { get; init; }

    /// <summary>OpenAI's: scales the automatic learning rate.</summary>
    public double? LearningRateMultiplier { get; init; }

    /// <summary><c>linear</c>, <c>cosine</c> or <c>constant</c>.</summary>
    public string? LrScheduler { get; init; }
    public double? WarmupRatio { get; init; }
    public int? Rank { get; init; }
    public double? Alpha { get; init; }
    public double? Dropout { get; init; }
    public IReadOnlyList<string>? TargetModules { get; init; }
    public bool? UseRslora { get; init; }
    public bool? UseDora { get; init; }

    /// <summary>Each B has a bias too.</summary>
    public bool? LoraBias { get; init; }

    /// <summary><c>embed_tokens</c> and <c>lm_head</c>: trained whole beside the adapter.</summary>
    public IReadOnlyList<string>? ModulesToSave { get; init; }
    public IReadOnlyList<int>? LayersToTransform { get; init; }
    public int? MaxLength { get; init; }

    /// <summary><c>assistant</c>, <c>last_assistant</c> or <c>everything</c>.</summary>
    public string? TrainOn { get; init; }
    public long? Seed { get; init; }
    public double? WeightDecay { get; init; }
    public double? MaxGradNorm { get; init; }

    /// <summary><c>float32</c>, <c>as_stored</c>, <c>bfloat16</c>, <c>nf4</c> or <c>fp4</c>; null: the faster one of float32 (from the stored blocks where that is as fast) and bfloat16 that a probe finds right.</summary>
    public string? Precision { get; init; }

    /// <summary>With <c>nf4</c> and <c>fp4</c>: the blocks' scales are rounded to 8 bits, as bitsandbytes' <c>bnb_4bit_use_double_quant</c>.</summary>
    public bool? UseDoubleQuant { get; init; }

    /// <summary>The forward pass keeps each layer's input alone, and the backward pass computes the rest again: same numbers, less memory, more time.</summary>
    public bool? Recompute { get; init; }

    /// <summary>Steps between evaluations on the validation rows; null: each epoch.</summary>
    public int? EvalEvery { get; init; }

    /// <summary>Seconds between checkpoints; null: 60. A checkpoint is also written where a step count is a multiple of <see cref="CheckpointSteps"/>.</summary>
    public double? CheckpointEvery { get; init; }

    /// <summary>Steps between checkpoints, beside <see cref="CheckpointEvery"/>; null: none.</summary>
    public int? CheckpointSteps { get; init; }
    public bool? StopWhenWorse { get; init; }
    public bool? Strict { get; init; }

    /// <summary>DPO's β.</summary>
    public double? Beta { get; init; }
}
