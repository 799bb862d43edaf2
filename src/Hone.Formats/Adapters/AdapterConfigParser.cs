using System.Text.Json;
using Hone.Formats.Files;

namespace Hone.Formats.Adapters;

/// <summary>
/// Reads PEFT's config. Every key has one of three fates: it is understood; it has no effect on the adapter's result and is kept; or it changes the result in a way
/// that is not supported and is refused by name. Unknown keys are warned of, and refused where they look like a switch or like a known key misspelt.
/// </summary>
internal sealed class AdapterConfigParser
{
    private const int MaxBytes = 1 << 20;
    private const int MaxPatterns = 4_096;
    private const int MaxPatternLength = 4_096;

    /// <summary>Ways to initialise that leave the base model as it is; others take a part out of its weights.</summary>
    private static readonly string[] s_harmlessInits = ["gaussian", "eva", "orthogonal"];

    /// <summary>Without effect on the result: settings of the training, of its initialisation, or of programs.</summary>
    private static readonly HashSet<string> s_inert =
    [
        "auto_mapping", "corda_config", "ensure_weight_tying", "eva_config", "inference_mode", "loftq_config", "lora_ga_config", "megatron_core", "merge_weights", "peft_version", "qalora_group_size", "revision",
    ];

    /// <summary>Change the result; accepted only where they are null, false or empty.</summary>
    private static readonly Dictionary<string, string> s_refused = new(StringComparer.Ordinal)
    {
        ["use_qalora"] = "QALoRA adapters are not supported",
        ["use_bdlora"] = "block-diagonal LoRA is not supported",
        ["trainable_token_indices"] = "trained token embeddings are not supported",
        ["target_parameters"] = "adapters on bare parameters are not supported",
        ["layer_replication"] = "replicated layers are not supported",
        ["alora_invocation_tokens"] = "activated LoRA is not supported",
        ["arrow_config"] = "routing between adapters is not supported",
        ["kasa_config"] = "KaSA is not supported",
        ["monteclora_config"] = "MonteCLoRA is not supported",
        ["velora_config"] = "VeLoRA is not supported",
        ["megatron_config"] = "Megatron's layers are not supported",
        ["enable_lora"] = "fused projections with partial LoRA are not supported",
    };

    private static readonly string[] s_understood =
    [
        "r", "lora_alpha", "lora_dropout", "use_rslora", "use_dora", "lora_bias", "modules_to_save", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "rank_pattern", "alpha_pattern", "bias", "base_model_name_or_path",
        "model_type", "peft_type", "task_type", "fan_in_fan_out", "init_lora_weights",
    ];

    private readonly List<string> _errors = [];
    private readonly List<string> _warnings = [];
    private readonly JsonElement _root;

    private AdapterConfigParser(JsonElement root) => _root = root;

    public static AdapterConfigResult Parse(ReadOnlyMemory<byte> json)
    {
        if (json.Length > MaxBytes)
            return Failed($"it has {json.Length} bytes; at most {MaxBytes} are accepted");
        try
        {
            using JsonDocument document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 32, AllowDuplicateProperties = false });
            if (JsonText.FirstInvalid(json.Span) is >= 0 and var at)
                return Failed($"the string at byte {at} is not valid Unicode");
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? new AdapterConfigParser(document.RootElement.Clone()).Parse()
                : Failed($"$ is {ConfigValue.Describe(document.RootElement)}; wanted is an object");
        }
        catch (JsonException e)
        {
            return Failed($"it is no valid JSON: {JsonSyntax.Explain(json.Span, e).TrimEnd('.')}");
        }
        catch (InvalidOperationException) // a string with invalid UTF-8 or half a surrogate pair
        {
            return Failed("it has a string that is not valid Unicode");
        }

        static AdapterConfigResult Failed(string what) => new(null, [$"{AdapterConfig.FileName}: {what}. Write the file again with PEFT's save_pretrained."], []);
    }

    private AdapterConfigResult Parse()
    {
        var others = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        foreach (JsonProperty property in _root.EnumerateObject())
            Sort(property, others);

        (IReadOnlyList<string> targets, string? targetPattern) = Names("target_modules");
        if (targets.Count == 0 && targetPattern is null && IsAbsent("target_modules"))
            Error("target_modules", "is missing", "Name the modules that the adapter stands on, as PEFT writes them.");
        else if (targets.Count == 0 && targetPattern is null && _root.GetProperty("target_modules").ValueKind == JsonValueKind.Array)
            Error("target_modules", "is empty", "Name the modules that the adapter stands on.");
        (IReadOnlyList<string> excluded, string? excludePattern) = Names("exclude_modules");
        (IReadOnlyList<string> layersNames, string? layersName) = Names("layers_pattern");
        IReadOnlyList<string> layersPattern = layersName is null ? layersNames : [layersName];
        foreach (string pattern in layersPattern)
            CheckRegex("layers_pattern", pattern);
        List<int>? layers = Layers();
        if (layers is not null && targetPattern is not null)
            Error("layers_to_transform", "cannot stand beside a target_modules that is a string", "List the modules, or put the layers into the regular expression.");
        if (layersPattern.Count > 0 && layers is null && IsAbsent("layers_to_transform"))
            Error("layers_pattern", "has no effect without layers_to_transform", "Add layers_to_transform, or remove it.");

        (IReadOnlyList<string> saved, string? savedText) = Names("modules_to_save");
        if (savedText is not null)
            Error("modules_to_save", $"is '{savedText}'", "Give a list of module names.");
        bool dora = Flag("use_dora"), loraBias = Flag("lora_bias");
        if (saved.Count > 0 && Flag("ensure_weight_tying"))
            Error("ensure_weight_tying", "is true beside modules_to_save: matrices that stay tied while they are trained are not supported", "Train the adapter without it.");
        if (loraBias && dora)
            Error("lora_bias", "cannot stand beside use_dora", "PEFT has no such adapter; save it again.");

        int rank = Rank();
        double alpha = Alpha();
        CheckFixedKeys();
        var config = new AdapterConfig
        {
            BaseModel = Text("base_model_name_or_path"),
            ModelType = Text("model_type"),
            Rank = rank,
            Alpha = alpha,
            Dropout = Number("lora_dropout", 0, value => value is >= 0 and <= 1, "a number from 0 to 1"),
            UseRslora = Flag("use_rslora"),
            UseDora = dora,
            LoraBias = loraBias,
            ModulesToSave = saved,
            TargetModules = targets,
            TargetPattern = targetPattern,
            ExcludeModules = excluded,
            ExcludePattern = excludePattern,
            LayersToTransform = layers,
            LayersPattern = layersPattern,
            RankPattern = Pattern<int>("rank_pattern", value => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int r) && r > 0 ? r : null, "a whole number above 0"),
            AlphaPattern = Pattern<double>("alpha_pattern", value => value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double a) && IsSingle(a) && (float)a != 0 ? a : null, "a number other than 0 that fits float32"),
            Others = others,
        };
        return new AdapterConfigResult(_errors.Count == 0 ? config : null, _errors, _warnings);
    }

    /// <summary>Gives each key its fate; those that are understood are read later.</summary>
    private void Sort(JsonProperty property, Dictionary<string, JsonElement> others)
    {
        string key = property.Name;
        if (s_understood.Contains(key))
        {
            if (key is "task_type" or "init_lora_weights" or "fan_in_fan_out")
                others[key] = property.Value;
        }
        else if (s_refused.TryGetValue(key, out string? reason))
        {
            if (!ConfigValue.IsNeutral(property.Value))
                Error(key, $"is {ConfigValue.Describe(property.Value)}: {reason}", "Train the adapter without it.");
        }
        else if (s_inert.Contains(key))
        {
            others[key] = property.Value;
        }
        else if (!ConfigValue.IsNeutral(property.Value) && Misspelt(key) is { } meant)
        {
            Error(key, "is no key of PEFT", $"Perhaps '{meant}' is meant.");
        }
        else if (!ConfigValue.IsNeutral(property.Value) && (key.StartsWith("use_", StringComparison.Ordinal) || key.EndsWith("_config", StringComparison.Ordinal)))
        {
            Error(key, $"is {ConfigValue.Describe(property.Value)}: an unknown kind of adapter", "Train the adapter without it.");
        }
        else
        {
            others[key] = property.Value;
            _warnings.Add($"{AdapterConfig.FileName}: $.{key} is unknown and ignored.");
        }
    }

    /// <summary>The key that changes the result and is probably meant, where the config lacks it.</summary>
    private string? Misspelt(string key) =>
        s_understood.Concat(s_refused.Keys).FirstOrDefault(known => known.Length > 3 && NearestName.Distance(key, known) <= 2 && !_root.TryGetProperty(known, out _));

    private void CheckFixedKeys()
    {
        if (IsAbsent("peft_type"))
            _warnings.Add($"{AdapterConfig.FileName}: $.peft_type is missing; LORA is assumed, but PEFT does not load the adapter without it.");
        else if (Text("peft_type") is { } type && type != "LORA")
            Error("peft_type", $"is '{type}'", "Only LORA adapters can be used.");
        if (Text("bias") is { } bias && bias != "none")
            Error("bias", $"is '{bias}': trained biases are not supported", "Train with bias 'none'.");
        if (Text("task_type") is { } task && task != "CAUSAL_LM")
            Error("task_type", $"is '{task}'", "Only CAUSAL_LM adapters can be used.");
        if (Flag("fan_in_fan_out"))
            _warnings.Add($"{AdapterConfig.FileName}: $.fan_in_fan_out is ignored, as PEFT ignores it for linear layers.");
        if (!IsAbsent("init_lora_weights"))
        {
            JsonElement init = _root.GetProperty("init_lora_weights");
            bool harmless = init.ValueKind is JsonValueKind.True or JsonValueKind.False || (init.ValueKind == JsonValueKind.String && s_harmlessInits.Contains(init.GetString()));
            if (!harmless)
                Error("init_lora_weights", $"is {ConfigValue.Describe(init)}, which changes the base model's weights", "Convert the adapter with PEFT's path_initial_model_for_weight_conversion.");
        }
    }

    private int Rank()
    {
        if (IsAbsent("r"))
            return Missing("r", 8);
        JsonElement value = _root.GetProperty("r");
        if (value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int rank) && rank > 0)
            return rank;
        Error("r", $"is {ConfigValue.Describe(value)}", "Give a whole number above 0.");
        return 1;
    }

    private double Alpha()
    {
        if (IsAbsent("lora_alpha"))
            return Missing("lora_alpha", 8); // a default would change the scale
        double alpha = Number("lora_alpha", 1, IsSingle, "a number that fits float32");
        if ((float)alpha == 0)
            Error("lora_alpha", "is 0: the adapter has no effect", "Give the value that the adapter was trained with.");
        return alpha;
    }

    private int Missing(string key, int peftDefault)
    {
        Error(key, $"is missing (PEFT would take {peftDefault})", "Give the value that the adapter was trained with.");
        return 1;
    }

    private List<int>? Layers()
    {
        const string Key = "layers_to_transform";
        if (IsAbsent(Key))
            return null;
        JsonElement value = _root.GetProperty(Key);
        JsonElement[] elements = value.ValueKind == JsonValueKind.Array ? [.. value.EnumerateArray()] : [value];
        var layers = new List<int>();
        for (int i = 0; i < elements.Length; i++)
        {
            if (elements[i].ValueKind == JsonValueKind.Number && elements[i].TryGetInt32(out int layer) && layer >= 0)
                layers.Add(layer);
            else
                Error(value.ValueKind == JsonValueKind.Array ? $"{Key}[{i}]" : Key, $"is {ConfigValue.Describe(elements[i])}", "Give whole numbers from 0 on.");
        }
        if (elements.Length == 0)
            Error(Key, "is empty", "Name layers, or remove it.");
        return layers;
    }

    /// <summary>A list of names, or a string.</summary>
    private (IReadOnlyList<string> Names, string? Pattern) Names(string key)
    {
        if (IsAbsent(key))
            return ([], null);
        JsonElement value = _root.GetProperty(key);
        if (value.ValueKind == JsonValueKind.String)
        {
            string pattern = value.GetString()!;
            if (pattern.Length == 0)
                Error(key, "is empty", "Name modules.");
            else if (pattern != AdapterConfig.AllLinear)
                CheckRegex(key, pattern);
            return ([], pattern);
        }
        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() > MaxPatterns)
        {
            Error(key, $"is {ConfigValue.Describe(value)}", $"Give a list of at most {MaxPatterns} names, or a string.");
            return ([], null);
        }
        var names = new List<string>();
        int index = 0;
        foreach (JsonElement element in value.EnumerateArray())
        {
            if (element.ValueKind == JsonValueKind.String && element.GetString()!.Length > 0)
                names.Add(element.GetString()!);
            else
                Error($"{key}[{index}]", $"is {ConfigValue.Describe(element)}", "Give a name.");
            index++;
        }
        return (names, null);
    }

    private List<KeyValuePair<string, T>> Pattern<T>(string key, Func<JsonElement, T?> read, string wanted) where T : struct
    {
        var patterns = new List<KeyValuePair<string, T>>();
        if (IsAbsent(key))
            return patterns;
        JsonElement value = _root.GetProperty(key);
        if (value.ValueKind != JsonValueKind.Object || value.GetPropertyCount() > MaxPatterns)
        {
            Error(key, $"is {ConfigValue.Describe(value)}", $"Give an object of at most {MaxPatterns} module names and values.");
            return patterns;
        }
        foreach (JsonProperty property in value.EnumerateObject())
        {
            CheckRegex($"{key}['{property.Name}']", property.Name);
            if (read(property.Value) is { } number)
                patterns.Add(new(property.Name, number));
            else
                Error($"{key}['{property.Name}']", $"is {ConfigValue.Describe(property.Value)}", $"Give {wanted}.");
        }
        return patterns;
    }

    private void CheckRegex(string path, string pattern)
    {
        if (pattern.Length > MaxPatternLength)
        {
            Error(path, $"has {pattern.Length} characters; at most {MaxPatternLength} are accepted", "Write a shorter one, or list the modules.");
            return;
        }
        try
        {
            ModulePattern.Check(pattern);
        }
        catch (ArgumentException e)
        {
            Error(path, $"is no valid regular expression: {e.Message}", "Correct it, or list the modules.");
        }
    }

    private double Number(string key, double otherwise, Func<double, bool> accepts, string wanted)
    {
        if (IsAbsent(key))
            return otherwise;
        JsonElement value = _root.GetProperty(key);
        if (value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && accepts(number))
            return number;
        Error(key, $"is {ConfigValue.Describe(value)}", $"Give {wanted}.");
        return otherwise;
    }

    private bool Flag(string key)
    {
        if (IsAbsent(key))
            return false;
        JsonElement value = _root.GetProperty(key);
        if (value.ValueKind is not (JsonValueKind.True or JsonValueKind.False))
            Error(key, $"is {ConfigValue.Describe(value)}", "Give true or false.");
        return value.ValueKind == JsonValueKind.True;
    }

    private string? Text(string key)
    {
        if (IsAbsent(key))
            return null;
        JsonElement value = _root.GetProperty(key);
        if (value.ValueKind == JsonValueKind.String)
            return value.GetString();
        Error(key, $"is {ConfigValue.Describe(value)}", "Give a string.");
        return null;
    }

    private bool IsAbsent(string key) => !_root.TryGetProperty(key, out JsonElement value) || value.ValueKind == JsonValueKind.Null;

    private static bool IsSingle(double value) => float.IsFinite((float)value);

    private void Error(string path, string what, string hint) => _errors.Add($"{AdapterConfig.FileName}: $.{path} {what}. {hint}");
}
