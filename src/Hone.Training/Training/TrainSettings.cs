using System.Globalization;
using Hone.Formats.Adapters;
using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Training.Devices;

namespace Hone.Training.Training;

/// <summary>Every hyperparameter of a run, resolved once before the first step, each with its origin.</summary>
internal sealed record TrainSettings
{
    /// <summary><c>supervised</c> or <c>dpo</c>.</summary>
    public required string Method { get; init; }

    /// <summary>DPO's β: how dear it is to leave the model that the run starts from.</summary>
    public double Beta { get; init; }
    public required int Epochs { get; init; }

    /// <summary>Rows a step: the loss is the mean over their trained tokens.</summary>
    public required int BatchSize { get; init; }
    public required double LearningRate { get; init; }
    public required string Scheduler { get; init; }
    public required int WarmupSteps { get; init; }
    public required int Rank { get; init; }
    public required double Alpha { get; init; }
    public required double Dropout { get; init; }
    public required bool UseRslora { get; init; }
    public required bool UseDora { get; init; }
    public required IReadOnlyList<string> TargetModules { get; init; }

    /// <summary>The adapter that is gone on with: its shape is the run's. Null: a new one.</summary>
    public AdapterConfig? Start { get; init; }

    /// <summary>Each B has a bias.</summary>
    public bool LoraBias { get; init; }

    /// <summary>Trained whole beside the adapter: <c>embed_tokens</c>, <c>lm_head</c>.</summary>
    public IReadOnlyList<string> ModulesToSave { get; init; } = [];
    public IReadOnlyList<int>? LayersToTransform { get; init; }
    public required int MaxLength { get; init; }
    public required string TrainOn { get; init; }
    public required long Seed { get; init; }
    public required double WeightDecay { get; init; }
    public required double MaxGradNorm { get; init; }
    public required int Steps { get; init; }
    public required int EvalEvery { get; init; }
    public required double CheckpointEvery { get; init; }
    public int? CheckpointSteps { get; init; }
    public required bool StopWhenWorse { get; init; }
    public required bool Strict { get; init; }

    /// <summary>How the base lies in memory.</summary>
    public required BasePrecision Precision { get; init; }

    /// <summary>Each layer is run again in the backward pass, so that only its input is kept.</summary>
    public required bool Recompute { get; init; }

    /// <summary>Where the steps run; null: nobody has asked for a device.</summary>
    public TrainingDevice? Device { get; init; }

    /// <summary>For the event, the report and the log.</summary>
    public required IReadOnlyList<Setting> Origins { get; init; }

    public bool IsPreference => Method == "dpo";

    /// <summary>Rows of the data that are one example: both answers of a pair.</summary>
    public int RowsAnItem => IsPreference ? 2 : 1;

    /// <summary><c>alpha / r</c>, or <c>alpha / √r</c> with rsLoRA (Kalajdzievski 2023, arXiv:2312.03732).</summary>
    public double Scale => UseRslora ? Alpha / Math.Sqrt(Rank) : Alpha / Rank;

    /// <summary>The rate of step t, from 1: a linear warm-up that reaches the full rate in its last step, then the schedule, which would reach 0 a step after the last.</summary>
    public double LearningRateAt(int step)
    {
        int done = step - 1;
        if (done < WarmupSteps)
            return LearningRate * step / WarmupSteps;
        double progress = (double)(done - WarmupSteps) / Math.Max(1, Steps - WarmupSteps);
        return Scheduler switch
        {
            "constant" => LearningRate,
            "cosine" => LearningRate * 0.5 * (1 + Math.Cos(Math.PI * progress)),
            _ => LearningRate * (1 - progress),
        };
    }

    /// <summary>The same with a choice that needed more than the rows' number to be made.</summary>
    public TrainSettings With(PrecisionChoice choice) => this with { Precision = choice.Precision, Origins = Replaced("precision", choice.Precision.Name, choice.Why) };

    /// <inheritdoc cref="With(PrecisionChoice)"/>
    public TrainSettings With(RecomputeChoice choice) => this with { Recompute = choice.Recompute, Origins = Replaced("recompute", Text(choice.Recompute), choice.Why) };

    /// <inheritdoc cref="With(PrecisionChoice)"/>
    public TrainSettings With(TrainingDevice device) => this with { Device = device, Origins = [.. Origins, new Setting("device", device.Name, $"auto: {device.Why}")] };

    private Setting[] Replaced(string key, string value, string why) => [.. Origins.Select(s => s.Key == key ? new Setting(key, value, $"auto: {why}") : s)];

    /// <param name="rows">Rows with a trained token, or pairs.</param>
    /// <param name="trainedTokens">Tokens with a label in one epoch.</param>
    /// <param name="start">The adapter that is gone on with; the config gives nothing that shapes one.</param>
    public static TrainSettings Resolve(TrainingConfig config, ModelConfig model, string jobId, int rows, long trainedTokens, bool preferencePairs, AdapterConfig? start = null)
    {
        var origins = new List<Setting>();
        string method = Class("method", config.Method, preferencePairs ? "dpo" : "supervised", preferencePairs ? "the rows are preference pairs" : "the rows are answers to learn");
        int batch = Value("batch_size", config.BatchSize, rows <= 2000 ? 4 : rows <= 20000 ? 8 : 16, $"{rows} rows");
        int stepsAnEpoch = (rows + batch - 1) / batch;
        (int epochs, string why) = preferencePairs ? (rows > 4_000 ? 1 : 3, $"{rows} pairs") : AutoEpochs(rows, stepsAnEpoch);
        epochs = Value("n_epochs", config.NEpochs, epochs, why);
        int steps = epochs * stepsAnEpoch;
        double autoRate = AutoLearningRate(model, preferencePairs);
        string pairs = preferencePairs ? ", preference pairs" : "";
        double rate = config.LearningRate is { } given
            ? Value("learning_rate", (double?)given, 0, "")
            : Value("learning_rate", null, autoRate * (config.LearningRateMultiplier ?? 1), config.LearningRateMultiplier is { } multiplier
                ? $"{Text(autoRate)} for a hidden size of {model.HiddenSize}{pairs}, times learning_rate_multiplier {Text(multiplier)}"
                : $"a hidden size of {model.HiddenSize}{pairs}");
        double beta = preferencePairs ? Value("beta", config.Beta, 0.1, "the usual") : 0;
        string scheduler = Class("lr_scheduler", config.LrScheduler, "linear", "it ends at 0, so the last steps settle");
        double warmup = Value("warmup_ratio", config.WarmupRatio, Math.Round(Math.Min(5.0, Math.Ceiling(steps * 0.1)) / steps, 4), "up to 5 steps");
        if (config.StartFrom is not null)
            Class("start_from", config.StartFrom, "", "");
        string shaped = start is null ? "given" : "start_from's";
        if (start is not null)
        {
            config = config with
            {
                Rank = start.Rank,
                Alpha = start.Alpha,
                UseRslora = start.UseRslora,
                UseDora = start.UseDora,
                TargetModules = start.TargetPattern is { } pattern ? [pattern] : start.TargetModules,
                LayersToTransform = start.LayersToTransform,
                LoraBias = start.LoraBias ? true : null,
                ModulesToSave = start.ModulesToSave,
            };
        }
        int rank = Value("rank", config.Rank, rows <= 1000 ? 8 : 16, rows <= 1000 ? $"{rows} rows need little room" : "room for most tasks at little cost", shaped);
        double alpha = Value("alpha", config.Alpha, 2.0 * rank, "twice the rank", shaped);
        double dropout = Value("dropout", config.Dropout, 0, "none");
        bool rslora = Value("use_rslora", config.UseRslora, false, "alpha / rank", shaped);
        bool dora = Value("use_dora", config.UseDora, false, "a third slower, and seldom better", shaped);
        var targets = config.TargetModules ?? model.LinearNames();
        origins.Add(new Setting("target_modules", string.Join(",", targets), config.TargetModules is null ? "auto: all linear layers" : shaped));
        if (config.LayersToTransform is { } layers)
            origins.Add(new Setting("layers_to_transform", string.Join(",", layers), shaped));
        if (config.LoraBias is { } bias)
            Value("lora_bias", (bool?)bias, false, "", shaped);
        if (config.ModulesToSave is { Count: > 0 } whole)
            origins.Add(new Setting("modules_to_save", string.Join(",", whole), shaped));
        if (!((float)rate > 0))
            throw new JobFailedException("bad_config", $"learning_rate is {Text(rate)}: nothing would be learnt. Give a rate above 0, or leave it to Hone.");
        if (!(dropout is >= 0 and < 1))
            throw new JobFailedException("bad_config", $"dropout is {Text(dropout)}: nothing would reach the adapter. Give a value from 0 to 0.99.");
        if (!((float)alpha > 0))
            throw new JobFailedException("bad_config", $"alpha is {Text(alpha)}: the adapter would have no effect. Give a value above 0, or leave it to Hone.");
        if (config.Precision is { } unknown && !BasePrecision.Names.Contains(unknown))
            throw new JobFailedException("bad_config", $"There is no precision {unknown}; there are {string.Join(", ", BasePrecision.Names)}.");
        int maxLength = Value("max_length", config.MaxLength, model.ContextLength, "the model's context");
        string trainOn = Class("train_on", config.TrainOn, "assistant", "answers are learnt, questions are not");
        long seed = Value("seed", config.Seed, SeedOf(jobId), "from the job's id");
        double decay = Value("weight_decay", config.WeightDecay, 0.01, "AdamW's usual");
        double norm = Value("max_grad_norm", config.MaxGradNorm, 1.0, "the usual");
        string precision = Class("precision", config.Precision, "float32", "the reference");
        bool doubleQuant = precision is "nf4" or "fp4" && Value("use_double_quant", config.UseDoubleQuant, false, "the blocks' scales stay float32");
        bool recompute = Value("recompute", config.Recompute, false, "memory suffices");
        int evalEvery = Value("eval_every", config.EvalEvery, stepsAnEpoch, "each epoch");
        double checkpointEvery = Value("checkpoint_every", config.CheckpointEvery, 60, "one minute");
        bool stop = Value("stop_when_worse", config.StopWhenWorse, false, "off");
        bool strict = Value("strict", config.Strict, true, "every row must count");
        return new TrainSettings
        {
            Method = method,
            Beta = beta,
            Epochs = epochs,
            BatchSize = batch,
            LearningRate = rate,
            Scheduler = scheduler,
            WarmupSteps = (int)Math.Round(warmup * steps),
            Rank = rank,
            Alpha = alpha,
            Dropout = dropout,
            UseRslora = rslora,
            UseDora = dora,
            TargetModules = targets,
            LayersToTransform = config.LayersToTransform,
            LoraBias = config.LoraBias ?? false,
            ModulesToSave = config.ModulesToSave ?? [],
            Start = start,
            MaxLength = maxLength,
            TrainOn = trainOn,
            Seed = seed,
            WeightDecay = decay,
            MaxGradNorm = norm,
            Steps = steps,
            EvalEvery = evalEvery,
            CheckpointEvery = checkpointEvery,
            CheckpointSteps = config.CheckpointSteps,
            StopWhenWorse = stop,
            Strict = strict,
            Precision = BasePrecision.Of(precision, doubleQuant),
            Recompute = recompute,
            Origins = origins,
        };

        T Value<T>(string key, T? given, T auto, string because, string by = "given")
            where T : struct
        {
            T value = given ?? auto;
            origins.Add(new Setting(key, Text(value), given is null ? $"auto: {because}" : by));
            return value;
        }

        string Class(string key, string? given, string auto, string because)
        {
            origins.Add(new Setting(key, given ?? auto, given is null ? $"auto: {because}" : "given"));
            return given ?? auto;
        }
    }

    /// <summary>Small data is seen more often: at least about 120 steps, at least 3 and at most 10 epochs; large data fewer.</summary>
    private static (int Epochs, string Why) AutoEpochs(int rows, int stepsAnEpoch)
    {
        if (rows > 20_000)
            return (1, $"{rows} rows teach enough in one pass");
        if (rows > 4_000)
            return (2, $"{rows} rows");
        int epochs = Math.Clamp((int)Math.Ceiling(120.0 / stepsAnEpoch), 3, 10);
        return (epochs, epochs > 3 ? $"{rows} rows alone make {stepsAnEpoch} steps an epoch" : $"{rows} rows");
    }

    /// <summary>1e-3 for a hidden size of 576, falling with the square root of the width: 3.8e-4 at 4,096; with preference pairs a tenth of it.</summary>
    private static double AutoLearningRate(ModelConfig model, bool preferencePairs) =>
        double.Parse(((preferencePairs ? 1e-4 : 1e-3) * Math.Min(1, Math.Sqrt(576.0 / model.HiddenSize))).ToString("g2", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);

    private static long SeedOf(string jobId) => (long)(new SplitMix64(0, jobId).Next() >> 33);

    private static string Text<T>(T value) => value switch
    {
        bool b => b ? "true" : "false",
        IFormattable f => f.ToString(null, CultureInfo.InvariantCulture),
        _ => value?.ToString() ?? "",
    };
}
