using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using Hone.Formats.Files;
using Hone.Formats.Jobs;
using Hone.Formats.Models;

namespace Hone.Formats.TrainingData;

/// <summary>Reads <c>training_config.json</c>. A key that is absent, null or <c>"auto"</c> becomes a null.</summary>
public static class TrainingConfigParser
{
    internal static readonly string[] Keys =
    [
        "method", "n_epochs", "batch_size", "learning_rate", "learning_rate_multiplier", "lr_scheduler", "warmup_ratio", "rank", "alpha", "dropout", "target_modules",
        "use_rslora", "use_dora", "lora_bias", "modules_to_save", "layers_to_transform", "max_length", "train_on", "seed", "weight_decay", "max_grad_norm", "precision", "use_double_quant", "recompute", "eval_every", "checkpoint_every",
        "checkpoint_steps", "stop_when_worse", "strict", "beta", "start_from",
    ];

    /// <summary>What shapes an adapter: one that is gone on with has it already.</summary>
    private static readonly string[] s_shape = ["rank", "alpha", "target_modules", "use_rslora", "use_dora", "lora_bias", "modules_to_save", "layers_to_transform"];

    /// <summary>Of the items of a list, and of the characters of a name.</summary>
    private const int MostItems = 1_000, LongestName = 200;

    /// <summary>Of a fine-tuned model's name, in characters.</summary>
    private const int LongestModelName = 1_000;

    /// <summary>Other trainers' names of the same things.</summary>
    private static readonly (string Theirs, string Ours)[] s_otherNames =
    [
        ("epochs", "n_epochs"), ("num_train_epochs", "n_epochs"), ("num_epochs", "n_epochs"), ("per_device_train_batch_size", "batch_size"), ("lr", "learning_rate"), ("r", "rank"), ("lora_r", "rank"),
        ("lora_rank", "rank"), ("lora_alpha", "alpha"), ("lora_dropout", "dropout"), ("lr_scheduler_type", "lr_scheduler"), ("max_seq_length", "max_length"), ("max_seq_len", "max_length"),
        ("cutoff_len", "max_length"), ("model_max_length", "max_length"), ("sequence_len", "max_length"), ("context_length", "max_length"), ("random_seed", "seed"), ("eval_steps", "eval_every"), ("save_steps", "checkpoint_steps"), ("clip", "max_grad_norm"),
        ("dtype", "precision"), ("scheduler", "lr_scheduler"), ("modules", "target_modules"),
        ("bnb_4bit_quant_type", "precision"), ("load_in_4bit", "precision"), ("quantization", "precision"), ("bnb_4bit_use_double_quant", "use_double_quant"), ("double_quant", "use_double_quant"),
        ("torch_dtype", "precision"), ("bf16", "precision"), ("fp16", "precision"), ("load_in_8bit", "precision"), ("warmup_steps", "warmup_ratio"), ("learning_rate_scheduler", "lr_scheduler"),
        ("dpo_beta", "beta"), ("rslora", "use_rslora"), ("dora", "use_dora"), ("train_on_inputs", "train_on"), ("assistant_only_loss", "train_on"), ("completion_only_loss", "train_on"),
        ("micro_batch_size", "batch_size"), ("train_batch_size", "batch_size"), ("gradient_accumulation_steps", "batch_size"), ("early_stopping", "stop_when_worse"), ("eval_strategy", "eval_every"),
        ("gradient_checkpointing", "recompute"), ("activation_checkpointing", "recompute"), ("recompute_activations", "recompute"),
        ("adapter_name_or_path", "start_from"), ("lora_model_dir", "start_from"), ("adapter_path", "start_from"), ("init_from", "start_from"),
    ];

    /// <summary>Can a config begin with this line? Rows of any trainer cannot be one.</summary>
    public static bool MayBegin(string line) => !RowShape.LooksLikeRow(line);

    /// <returns>A config when there is no error; else null and every error, by place.</returns>
    public static (TrainingConfig? Config, IReadOnlyList<LintIssue> Errors) Parse(ReadOnlySpan<byte> json)
    {
        int mark = json.StartsWith("\uFEFF"u8) ? 3 : 0;
        byte[] text = json[mark..].ToArray();
        var errors = new List<LintIssue>();
        if (Blank.Is(text))
            return (null, [new(null, null, null, "file_empty", "the file is empty.", "Write {} when everything is left to Hone.")]);
        var faults = new List<JsonFault>();
        bool parses = new JsonSyntax("file").Check(text, faults);
        foreach (var fault in faults)
            errors.Add(new(LineAt(text, fault.Offset), mark + fault.Offset, fault.Path, fault.Code, fault.Message, fault.Hint));
        if (!parses || faults.Exists(f => f.Code != "duplicate_key"))
            return (null, errors);
        using var document = JsonDocument.Parse(text);
        var config = Read(document.RootElement, new Scope(text, mark, errors));
        return errors.Count == 0 ? (config, []) : (null, [.. errors.OrderBy(e => e.Byte ?? 0)]);
    }

    private static TrainingConfig Read(JsonElement root, Scope scope)
    {
        var c = new TrainingConfig();
        if (root.ValueKind != JsonValueKind.Object)
        {
            scope.Error(root, "$", "config_not_object", $"the config must be a JSON object, it is {RowValidator.Spoken(root)}.", "Write {\"n_epochs\":3} or {}.");
            return c;
        }
        foreach (var property in root.EnumerateObject())
        {
            string key = property.Name;
            var v = new Value(property.Value, key, scope);
            if (!Keys.Contains(key))
            {
                scope.Error(property.Value, "$." + key.Shown(60), "unknown_key", $"unknown key {key.Shown(60)}.",
                    (s_otherNames.FirstOrDefault(n => n.Theirs == key).Ours ?? NearestName.Meant(key, Keys)) is { } near ? $"Did you mean {near}?" : $"Known keys: {string.Join(", ", Keys)}.");
                continue;
            }
            if (property.Value.ValueKind == JsonValueKind.Null || property.Value.ValueKind == JsonValueKind.String && property.Value.ValueEquals("auto"u8))
                continue;
            c = key switch
            {
                "method" => c with { Method = v.OneOf("supervised", "dpo") },
                "n_epochs" => c with { NEpochs = v.Whole(1, 50) },
                "batch_size" => c with { BatchSize = v.Whole(1, 256) },
                "learning_rate" => c with { LearningRate = v.Number(1e-12, 1, "from 1e-12 to 1") },
                "learning_rate_multiplier" => c with { LearningRateMultiplier = v.Number(1e-6, 1000, "from 1e-6 to 1000") },
                "lr_scheduler" => c with { LrScheduler = v.OneOf("linear", "cosine", "constant") },
                "warmup_ratio" => c with { WarmupRatio = v.Number(0, 1, "from 0 to below 1", highest: false) },
                "rank" => c with { Rank = v.Whole(1, 512) },
                "alpha" => c with { Alpha = v.Number(1e-6, 8192, "from 1e-6 to 8192") },
                "dropout" => c with { Dropout = v.Number(0, 0.99, "from 0 to 0.99") },
                "target_modules" => c with { TargetModules = v.Names() },
                "use_rslora" => c with { UseRslora = v.Boolean() },
                "use_dora" => c with { UseDora = v.Boolean() },
                "lora_bias" => c with { LoraBias = v.Boolean() },
                "modules_to_save" => c with { ModulesToSave = v.NamesOf("embed_tokens", "lm_head") },
                "layers_to_transform" => c with { LayersToTransform = v.Layers() },
                "max_length" => c with { MaxLength = v.Whole(16, 1 << 20) },
                "train_on" => c with { TrainOn = v.OneOf("assistant", "last_assistant", "everything") },
                "seed" => c with { Seed = v.Long(0, int.MaxValue) },
                "weight_decay" => c with { WeightDecay = v.Number(0, 1, "from 0 to 1") },
                "max_grad_norm" => c with { MaxGradNorm = v.Number(0, 1e6, "greater than 0 and at most 1000000", lowest: false) },
                "precision" => c with { Precision = v.Precision() },
                "use_double_quant" => c with { UseDoubleQuant = v.Boolean() },
                "recompute" => c with { Recompute = v.Boolean() },
                "eval_every" => c with { EvalEvery = v.Whole(1, int.MaxValue) },
                "checkpoint_every" => c with { CheckpointEvery = v.Number(0, 86400, "seconds, greater than 0 and at most 86400", lowest: false) },
                "checkpoint_steps" => c with { CheckpointSteps = v.Whole(1, int.MaxValue) },
                "stop_when_worse" => c with { StopWhenWorse = v.Boolean() },
                "strict" => c with { Strict = v.Boolean() },
                "start_from" => c with { StartFrom = v.ModelName() },
                _ => c with { Beta = v.Number(0, 2, "greater than 0 and at most 2", lowest: false) },
            };
        }
        if (c.LearningRate is not null && c.LearningRateMultiplier is not null)
            scope.Error(root.GetProperty("learning_rate_multiplier"), "$.learning_rate_multiplier", "conflict", "learning_rate_multiplier scales the automatic rate, but learning_rate is given.", "Keep one of the two.");
        if (c.LoraBias == true && c.UseDora == true)
            scope.Error(root.GetProperty("lora_bias"), "$.lora_bias", "conflict", "lora_bias cannot stand beside use_dora.", "Keep one of the two.");
        if (c.UseDoubleQuant == true && c.Precision is not ("nf4" or "fp4"))
            scope.Error(root.GetProperty("use_double_quant"), "$.use_double_quant", "conflict", $"use_double_quant has no effect on the precision {c.Precision ?? "auto"}.", "Set the precision to nf4 or fp4, or take it out.");
        if (c.Beta is not null && c.Method == "supervised")
            scope.Error(root.GetProperty("beta"), "$.beta", "conflict", "beta has no effect on the method supervised.", "Take it out, or set the method to dpo.");
        if (c.StartFrom is not null)
        {
            foreach (JsonProperty given in root.EnumerateObject().Where(p => s_shape.Contains(p.Name) && p.Value.ValueKind != JsonValueKind.Null && !(p.Value.ValueKind == JsonValueKind.String && p.Value.ValueEquals("auto"u8))))
                scope.Error(given.Value, $"$.{given.Name}", "conflict", $"{given.Name} shapes an adapter, and the one of start_from has its shape.", $"Take {given.Name} out, or start_from.");
        }
        return c;
    }

    private static int LineAt(ReadOnlySpan<byte> text, int offset) => text[..Math.Min(offset, text.Length)].Count((byte)'\n') + 1;

    private sealed class Scope(byte[] text, int mark, List<LintIssue> errors)
    {
        public void Error(JsonElement at, string path, string code, string message, string hint)
        {
            text.AsSpan().Overlaps(JsonMarshal.GetRawUtf8Value(at), out int offset);
            errors.Add(new(LineAt(text, offset), mark + offset, path, code, message, hint));
        }
    }

    private readonly struct Value(JsonElement value, string key, Scope scope)
    {
        public int? Whole(int from, int to) => (int?)Long(from, to);

        public long? Long(long from, long to)
        {
            string range = $"from {from} to {to}";
            if (value.ValueKind != JsonValueKind.Number)
                return Wrong<long>($"a whole number, {range}");
            // 3.0 and 3e0 are whole too.
            if (!value.TryGetDouble(out double number) || number != Math.Floor(number) || Math.Abs(number) > 1L << 53)
                return Wrong<long>($"a whole number, {range}");
            return number < from || number > to ? Wrong<long>($"a whole number, {range}") : (long)number;
        }

        public double? Number(double from, double to, string range, bool lowest = true, bool highest = true)
            => value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && double.IsFinite(number)
                && (lowest ? number >= from : number > from) && (highest ? number <= to : number < to) ? number : Wrong<double>($"a number, {range}");

        public bool? Boolean() => value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : Wrong<bool>("true or false");

        public string? OneOf(params string[] allowed)
        {
            string? given = value.ValueKind == JsonValueKind.String ? value.GetString() : null;
            if (given is not null && allowed.Contains(given))
                return given;
            Wrong<int>(string.Join(" or ", allowed), given is null ? null : NearestName.Meant(given, allowed));
            return null;
        }

        public string[]? Names()
        {
            if (value.ValueKind == JsonValueKind.String && value.ValueEquals("all-linear"u8))
                return null;
            if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() == 0 || value.EnumerateArray().Any(m => m.ValueKind != JsonValueKind.String || MessageValidator.IsBlank(m) || JsonMarshal.GetRawUtf8Value(m).Length > LongestName))
            {
                Wrong<int>("a list of module names such as [\"q_proj\",\"v_proj\"], or \"all-linear\"");
                return null;
            }
            string[] names = [.. value.EnumerateArray().Select(m => m.GetString()!)];
            return Once(names) ? names : null;
        }

        public string? ModelName()
        {
            if (value.ValueKind == JsonValueKind.String && !MessageValidator.IsBlank(value) && value.GetString() is { Length: <= LongestModelName } name)
                return name;
            Wrong<int>("a fine-tuned model's name or id, or a checkpoint's");
            return null;
        }

        public string? Precision()
        {
            if (value.ValueKind != JsonValueKind.String || !value.ValueEquals("float16"u8))
                return OneOf([.. BasePrecision.Names]);
            scope.Error(value, "$." + key, "value_invalid", "products in float16 are not offered: their range is too small for gradients.",
                "Use float32 or bfloat16; or as_stored, which keeps the base in memory as its file stores it and computes the same numbers as float32.");
            return null;
        }

        /// <summary>A list of some of these.</summary>
        public string[]? NamesOf(params string[] allowed)
        {
            string list = $"a list of {string.Join(" and ", allowed)}";
            if (value.ValueKind != JsonValueKind.Array || value.EnumerateArray().FirstOrDefault(m => m.ValueKind != JsonValueKind.String) is { ValueKind: not JsonValueKind.Undefined })
            {
                Wrong<int>(list);
                return null;
            }
            string[] names = [.. value.EnumerateArray().Select(m => m.GetString()!)];
            if (names.FirstOrDefault(n => !allowed.Contains(n)) is { } other)
            {
                Wrong<int>(list, NearestName.Meant(other, allowed));
                return null;
            }
            return Once(names) ? names : null;
        }

        public int[]? Layers()
        {
            if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() == 0 || value.EnumerateArray().Any(m => m.ValueKind != JsonValueKind.Number || !m.TryGetInt32(out int n) || n < 0))
            {
                Wrong<int>("a list of layer numbers, counted from 0");
                return null;
            }
            int[] layers = [.. value.EnumerateArray().Select(m => m.GetInt32())];
            return Once(layers) ? layers : null;
        }

        private bool Once<T>(T[] items)
        {
            if (items.Length > MostItems)
            {
                scope.Error(value, "$." + key, "value_invalid", $"{key} has {items.Length:N0} items, at most {MostItems:N0} are taken.", "Name fewer, or leave it out.");
                return false;
            }
            var twice = items.GroupBy(i => i).FirstOrDefault(g => g.Count() > 1);
            if (twice is not null)
                scope.Error(value, "$." + key, "value_invalid", $"{key} names {twice.Key} twice.", "Name each once.");
            return twice is null;
        }

        private T? Wrong<T>(string must, string? near = null) where T : struct
        {
            scope.Error(value, "$." + key, "value_invalid", $"{key} must be {must}; it is {value.GetRawText().Shown(60)}.",
                near is not null ? $"Did you mean {near}?" : value.ValueKind == JsonValueKind.String && double.TryParse(value.GetString(), CultureInfo.InvariantCulture, out _) ? "Write it without quotes, or \"auto\"." : "Write \"auto\" or leave it out to have it chosen.");
            return null;
        }
    }
}
