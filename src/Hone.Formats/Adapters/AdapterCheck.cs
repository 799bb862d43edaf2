using Hone.Formats.Files;
using Hone.Formats.Models;
using Hone.Formats.Safetensors;

namespace Hone.Formats.Adapters;

/// <summary>
/// Holds an adapter's two files against the base model that it shall stand on:
/// 1. the config by itself; 2. what the config names, on the base; 3. the tensors' names, on both; 4. their shapes and types; 5. their values.
/// All errors of a step are found at once; a later step runs where the earlier ones leave it a meaning. The weights are read in runs of 256 KB.
/// </summary>
public sealed class AdapterCheck
{
    /// <summary>The key of the weights' metadata that carries the SHA-256 of the base model's file.</summary>
    public const string BaseHashKey = "base_sha256";

    private const int MaxListed = 5;
    private const int RunValues = 1 << 16;
    private const int MaxConfigBytes = 1 << 20;
    private const int MaxHeaderBytes = 16 << 20;

    private readonly string _weightsPath;
    private readonly IReadOnlyList<LinearModule> _modules;
    private readonly IReadOnlyList<LinearModule> _whole;
    private readonly AdapterLimits _limits;
    private readonly AdapterBase? _base;
    private readonly List<string> _errors = [];
    private readonly List<string> _warnings = [];

    /// <summary>Weights that someone gave, whose header must not take more memory than any adapter's.</summary>
    public static SafetensorsFile OpenWeights(string path) => SafetensorsFile.Open(path, AdapterConfig.WeightsFileName, MaxHeaderBytes);

    private AdapterCheck(string weightsPath, AdapterPlaces places, AdapterLimits limits, AdapterBase? adapterBase)
    {
        _weightsPath = weightsPath;
        _modules = places.Linear;
        _whole = places.Whole;
        _limits = limits;
        _base = adapterBase;
    }

    public static AdapterReport Check(string configPath, string weightsPath, BaseModel model, AdapterLimits limits, AdapterBase? adapterBase = null, CancellationToken cancellationToken = default) =>
        Check(configPath, weightsPath, AdapterPlaces.Of(model.Config), limits, adapterBase, cancellationToken);

    public static AdapterReport Check(string configPath, string weightsPath, AdapterPlaces places, AdapterLimits limits, AdapterBase? adapterBase = null, CancellationToken cancellationToken = default)
    {
        var check = new AdapterCheck(weightsPath, places, limits, adapterBase);
        AdapterConfig? config = check.ReadConfig(configPath);
        try
        {
            check.CheckAll(config, cancellationToken);
        }
        catch (InvalidFileException e)
        {
            check._errors.Add(e.Message);
        }
        return new AdapterReport(config, check._errors, check._warnings);
    }

    private AdapterConfig? ReadConfig(string path)
    {
        long length = LinkedFile.Info(path).Length;
        if (length > MaxConfigBytes)
        {
            _errors.Add($"{AdapterConfig.FileName}: it has {length} bytes; at most {MaxConfigBytes} are accepted. Write the file again with PEFT's save_pretrained.");
            return null;
        }
        AdapterConfigResult result = AdapterConfig.Parse(File.ReadAllBytes(path));
        _errors.AddRange(result.Errors);
        _warnings.AddRange(result.Warnings);
        return result.Config;
    }

    private void CheckAll(AdapterConfig? config, CancellationToken cancellationToken)
    {
        if (config is not null)
        {
            CheckBase(config);
            CheckNamed(config);
        }
        long length = LinkedFile.Info(_weightsPath).Length;
        if (length >= _limits.MaxBytes)
            throw new InvalidFileException($"{AdapterConfig.WeightsFileName}: it has {length} bytes; fewer than {_limits.MaxBytes} are accepted. Train with a lower rank, or save it as float16.");

        using SafetensorsFile file = OpenWeights(_weightsPath);
        if (_base?.Sha256 is { } hash && file.Metadata.TryGetValue(BaseHashKey, out string? trainedOn) && !hash.Equals(trainedOn, StringComparison.OrdinalIgnoreCase))
            _errors.Add($"{AdapterConfig.WeightsFileName}: it was trained on another base model (SHA-256 {trainedOn} in its metadata; this base has {hash}). Choose the model that it was trained on.");
        (Dictionary<string, Pair> pairs, Dictionary<string, SafetensorsTensor> whole) = Tensors(file);
        CheckPairs(config, pairs);
        CheckWhole(config, whole);
        if (config is not null)
        {
            CheckRanks(config, pairs);
            _errors.AddRange(TrainedWith.Differences(config, file.Metadata));
        }
        CheckValues(file, pairs, whole, cancellationToken);
    }

    /// <summary>The adapter's own statements about its base model.</summary>
    private void CheckBase(AdapterConfig config)
    {
        if (_limits.ModelTypes is { } types && (config.ModelType is null || !types.Contains(config.ModelType)))
            _errors.Add($"{AdapterConfig.FileName}: $.model_type is {(config.ModelType is null ? "missing" : $"'{config.ModelType}'")}. Give one of {string.Join(", ", types)}.");
        if (_base is { Names.Count: > 0 } known && !string.IsNullOrWhiteSpace(config.BaseModel) && !known.Names.Any(name => Simple(name) == Simple(config.BaseModel)))
            _warnings.Add($"{AdapterConfig.FileName}: $.base_model_name_or_path is '{config.BaseModel}', but the finetune's base is '{known.Names[0]}'. Make sure that the adapter was trained on it.");

        static string Simple(string name) => string.Concat(name.TrimEnd('/').Split('/')[^1].Where(char.IsLetterOrDigit)).ToUpperInvariant();
    }

    /// <summary>Ranks above what is accepted: known from the config alone.</summary>
    public static IEnumerable<string> RankErrors(AdapterConfig config, int most) =>
        config.RankPattern.Select(p => (Path: $"rank_pattern['{p.Key}']", Rank: p.Value)).Prepend((Path: "r", config.Rank)).Where(r => r.Rank > most)
            .Select(r => $"{AdapterConfig.FileName}: $.{r.Path} is {r.Rank}; at most {most} is accepted. Train with a lower rank.");

    /// <summary>Every name, pattern and layer in the config must meet a module of the base, and ranks keep the limit.</summary>
    private void CheckNamed(AdapterConfig config)
    {
        _errors.AddRange(RankErrors(config, _limits.MaxRank));
        CheckList("target_modules", config.TargetModules, config.TargetPattern);
        CheckList("exclude_modules", config.ExcludeModules, config.ExcludePattern);
        foreach ((string key, string pattern) in config.RankPattern.Select(p => ("rank_pattern", p.Key)).Concat(config.AlphaPattern.Select(p => ("alpha_pattern", p.Key))))
        {
            if (!_modules.Any(m => config.Matches(pattern, m.Name)))
                _errors.Add($"{AdapterConfig.FileName}: $.{key}['{pattern}'] matches no module of the base model{Nearest(pattern)}. Correct the name.");
        }
        for (int i = 0; i < config.ModulesToSave.Count; i++)
        {
            string name = config.ModulesToSave[i];
            if (!_whole.Any(m => ModulePattern.EndsWith(m.Name, name)))
                _errors.Add($"{AdapterConfig.FileName}: $.modules_to_save[{i}] '{name}' is none of the modules that an adapter may hold whole{NearestName.Hint(name, _whole.Select(m => m.Name.Split('.')[^1]))}. They are {string.Join(" and ", _whole.Select(m => m.Name))}; correct the name, or train without it.");
        }
        foreach (int layer in config.LayersToTransform ?? [])
        {
            if (!_modules.Any(m => (config with { LayersToTransform = [layer] }).InLayers(m.Name)))
                _errors.Add($"{AdapterConfig.FileName}: $.layers_to_transform names layer {layer}, which the base model does not have. Name layers from 0 to {LastLayer()}.");
        }

        void CheckList(string key, IReadOnlyList<string> names, string? pattern)
        {
            for (int i = 0; i < names.Count; i++)
            {
                string name = names[i];
                if (!_modules.Any(m => ModulePattern.EndsWith(m.Name, name)))
                    _errors.Add($"{AdapterConfig.FileName}: $.{key}[{i}] '{name}' matches no module of the base model that an adapter can stand on{Nearest(name)}. Correct the name.");
            }
            if (pattern is not null && !_modules.Any(m => config.Named(m.Name, [], pattern)))
                _errors.Add($"{AdapterConfig.FileName}: $.{key} '{pattern}' matches no module of the base model. Correct it; a module is named '{_modules[0].Name}'.");
        }
    }

    private int LastLayer() => _modules.Max(m => new ModulePattern().Layer(m.Name, "[^.]*") ?? 0);

    private string Nearest(string name)
    {
        int parts = name.Split('.').Length;
        return NearestName.Hint(name, _modules.Select(m => string.Join('.', m.Name.Split('.').TakeLast(parts))).Distinct());
    }

    /// <summary>The tensors by module; any tensor that belongs to no module of the base is an error.</summary>
    private (Dictionary<string, Pair> Pairs, Dictionary<string, SafetensorsTensor> Whole) Tensors(SafetensorsFile file)
    {
        var modules = _modules.ToDictionary(m => m.Name, StringComparer.Ordinal);
        var pairs = new Dictionary<string, Pair>(StringComparer.Ordinal);
        var whole = new Dictionary<string, SafetensorsTensor>(StringComparer.Ordinal);
        var strangers = new List<string>();
        foreach (SafetensorsTensor tensor in file.Tensors)
        {
            (string name, AdapterTensor kind) = PeftNames.Parse(tensor.Name) ?? ("", AdapterTensor.A);
            if (kind == AdapterTensor.Whole && _whole.Any(m => m.Name == name))
            {
                whole[name] = tensor;
                continue;
            }
            if (kind == AdapterTensor.Whole || !modules.TryGetValue(name, out LinearModule? module))
            {
                strangers.Add(tensor.Name);
                continue;
            }
            Pair pair = pairs.GetValueOrDefault(name) ?? new Pair(module);
            pairs[name] = kind switch
            {
                AdapterTensor.A => pair with { A = tensor },
                AdapterTensor.B => pair with { B = tensor },
                AdapterTensor.Bias => pair with { Bias = tensor },
                _ => pair with { Magnitude = tensor },
            };
        }
        if (file.Tensors.Count == 0)
            _errors.Add($"{AdapterConfig.WeightsFileName}: it holds no tensors. Save the adapter again.");
        if (strangers.Count > 0)
        {
            string[] known = [.. _modules.SelectMany(m => new[] { PeftNames.A(m.Name), PeftNames.B(m.Name) })];
            AddList(strangers, "tensors match no module of the base model", name => $"'{name}'{NearestName.Hint(name, known)}", "Name them as PEFT does, or choose the model that the adapter was trained on.");
        }
        return (pairs, whole);
    }

    /// <summary>The matrices that replace the base's: those that the config names, in the base's shapes.</summary>
    private void CheckWhole(AdapterConfig? config, Dictionary<string, SafetensorsTensor> whole)
    {
        if (config is not null)
        {
            AddList([.. _whole.Where(m => config.Saves(m.Name) && !whole.ContainsKey(m.Name))], "modules that $.modules_to_save names have no tensor", m => $"'{PeftNames.Of(AdapterTensor.Whole, m.Name)}' is missing", "Save the adapter again.");
            AddList([.. whole.Where(t => !config.Saves(t.Key))], "modules are saved whole but are not named by $.modules_to_save", t => $"'{t.Value.Name}'", $"Name them in {AdapterConfig.FileName}; where tokens were added to the base, use the base with these tokens.");
        }
        AddList([.. whole.Where(t => _whole.Single(m => m.Name == t.Key) is var m && !t.Value.Shape.SequenceEqual([m.Out, m.In])).Select(t => (t.Value, _whole.Single(m => m.Name == t.Key)))],
            "tensors have shapes that do not fit the base model", t => $"'{t.Value.Name}' is [{string.Join(", ", t.Value.Shape)}] instead of [{t.Item2.Out}, {t.Item2.In}]", "Choose the model that the adapter was trained on.");
        AddList([.. whole.Values.Where(IsNoFloat)], "tensors have a type other than floating point", t => $"'{t.Name}' is {t.Type}", "Save them as float32, float16 or bfloat16.");
    }

    /// <summary>Both halves of every module that the config names, none beside them, in the base's shapes.</summary>
    private void CheckPairs(AdapterConfig? config, Dictionary<string, Pair> pairs)
    {
        AddList([.. pairs.Values.Where(p => p.A is null || p.B is null)], "modules have one of their two tensors", p => $"'{(p.A is null ? PeftNames.A(p.Module.Name) : PeftNames.B(p.Module.Name))}' is missing", "Save the adapter again.");
        if (config is not null)
        {
            AddList([.. pairs.Values.Where(p => p.Magnitude is null && config.UseDora)], "modules have no magnitude, which use_dora demands", p => $"'{PeftNames.Magnitude(p.Module.Name)}' is missing", "Save the adapter again.");
            AddList([.. pairs.Values.Where(p => p.Magnitude is not null && !config.UseDora)], "modules have a magnitude, but use_dora is not set", p => $"'{p.Magnitude!.Name}'", $"Set $.use_dora of {AdapterConfig.FileName}.");
            AddList([.. pairs.Values.Where(p => p.Bias is null && config.LoraBias)], "modules have no bias, which lora_bias demands", p => $"'{PeftNames.Of(AdapterTensor.Bias, p.Module.Name)}' is missing", "Save the adapter again.");
            AddList([.. pairs.Values.Where(p => p.Bias is not null && !config.LoraBias)], "modules have a bias, but lora_bias is not set", p => $"'{p.Bias!.Name}'", $"Set $.lora_bias of {AdapterConfig.FileName}.");
            HashSet<string> targets = [.. _modules.Select(m => m.Name).Where(config.Targets)];
            AddList([.. _modules.Select(m => m.Name).Where(m => targets.Contains(m) && !pairs.ContainsKey(m))], "modules that the config names have no tensors", m => $"'{m}'", $"Save the adapter again, or correct $.target_modules of {AdapterConfig.FileName}.");
            AddList([.. pairs.Keys.Where(m => !targets.Contains(m))], "modules have tensors but are not named by the config", m => $"'{m}'", $"Correct $.target_modules of {AdapterConfig.FileName}.");
            if (targets.Count == 0 && _errors.Count == 0)
                _errors.Add($"{AdapterConfig.FileName}: target_modules, exclude_modules and layers_to_transform together leave no module. Correct them.");
        }
        var shapes = new List<string>();
        var types = new List<SafetensorsTensor>();
        foreach (Pair pair in pairs.Values)
        {
            foreach ((SafetensorsTensor? tensor, int axis, int size, string wanted) in new[] { (pair.A, 1, pair.Module.In, $"[r, {pair.Module.In}]"), (pair.B, 0, pair.Module.Out, $"[{pair.Module.Out}, r]") })
            {
                if (tensor is null)
                    continue;
                if (tensor.Shape.Length != 2 || tensor.Shape[axis] != size || tensor.Shape[1 - axis] == 0)
                    shapes.Add($"'{tensor.Name}' is [{string.Join(", ", tensor.Shape)}] instead of {wanted}");
                if (IsNoFloat(tensor))
                    types.Add(tensor);
            }
            foreach (SafetensorsTensor vector in new[] { pair.Bias, pair.Magnitude }.OfType<SafetensorsTensor>())
            {
                if (vector.Shape.Length != 1 || vector.Shape[0] != pair.Module.Out)
                    shapes.Add($"'{vector.Name}' is [{string.Join(", ", vector.Shape)}] instead of [{pair.Module.Out}]");
                if (IsNoFloat(vector))
                    types.Add(vector);
            }
        }
        AddList(shapes, "tensors have shapes that do not fit the base model", text => text, "Choose the model that the adapter was trained on.");
        AddList(types, "tensors have a type other than floating point", t => $"'{t.Name}' is {t.Type}", "Save them as float32, float16 or bfloat16.");
    }

    private static bool IsNoFloat(SafetensorsTensor tensor) => tensor.Type is not (SafetensorsType.F32 or SafetensorsType.F16 or SafetensorsType.BF16 or SafetensorsType.F64);

    /// <summary>One line for all tensors whose rank is not the config's.</summary>
    private void CheckRanks(AdapterConfig config, Dictionary<string, Pair> pairs)
    {
        var wrong = new List<string>();
        foreach (Pair pair in pairs.Values)
        {
            int rank = config.RankOf(pair.Module.Name);
            if (pair.A is { Shape.Length: 2 } a && a.Shape[0] != rank)
                wrong.Add($"'{a.Name}' has rank {a.Shape[0]} where the config says {rank}");
            if (pair.B is { Shape.Length: 2 } b && b.Shape[1] != rank)
                wrong.Add($"'{b.Name}' has rank {b.Shape[1]} where the config says {rank}");
        }
        AddList(wrong, "tensors have another rank than the config says", text => text, $"Correct $.r or $.rank_pattern of {AdapterConfig.FileName}.");
    }

    /// <summary>Not a number, infinite, and zero.</summary>
    private void CheckValues(SafetensorsFile file, Dictionary<string, Pair> pairs, Dictionary<string, SafetensorsTensor> replaced, CancellationToken cancellationToken)
    {
        var buffer = new float[RunValues];
        var notFinite = new List<string>();
        var zero = new List<string>();
        int whole = 0;
        foreach (Pair pair in pairs.Values)
        {
            bool anyA = pair.A is not null && Scan(pair.A);
            bool anyB = pair.B is not null && Scan(pair.B);
            bool anyBias = pair.Bias is not null && Scan(pair.Bias);
            if (pair.Magnitude is not null)
                Scan(pair.Magnitude);
            if (pair.A is null || pair.B is null)
                continue;
            whole++;
            if ((!anyA || !anyB) && !anyBias)
                zero.Add(anyB ? pair.A.Name : pair.B.Name);
        }
        foreach (SafetensorsTensor tensor in replaced.Values)
            Scan(tensor);
        AddList(notFinite, "tensors hold values that are not finite", text => text, "The training diverged; train again with a lower learning rate.");
        if (whole > 0 && zero.Count == whole && replaced.Count == 0)
            _errors.Add($"{AdapterConfig.WeightsFileName}: the adapter has no effect: lora_B (or lora_A) of all {whole} modules is zero. It was saved before it was trained; train it, and save it then.");
        else if (zero.Count > 0)
            _warnings.Add($"{AdapterConfig.WeightsFileName}: {zero.Count} of {whole} modules have no effect, since a tensor of theirs is zero: {List(zero, name => $"'{name}'")}.");

        // True where a value other than 0 occurs.
        bool Scan(SafetensorsTensor tensor)
        {
            bool any = false;
            long at = -1;
            float first = 0;
            for (long start = 0; start < tensor.Elements; start += RunValues)
            {
                cancellationToken.ThrowIfCancellationRequested();
                Span<float> run = buffer.AsSpan(0, (int)Math.Min(RunValues, tensor.Elements - start));
                file.ReadFloat32(tensor, start, run);
                any |= run.ContainsAnyExcept(0f);
                if (at < 0 && FiniteValues.FirstOther(run) is >= 0 and var found)
                    (at, first) = (start + found, run[found]);
            }
            if (at >= 0)
                notFinite.Add($"'{tensor.Name}' holds {first} at element {at}");
            return any;
        }
    }

    private void AddList<T>(IReadOnlyList<T> items, string what, Func<T, string> text, string hint)
    {
        if (items.Count > 0)
            _errors.Add($"{AdapterConfig.WeightsFileName}: {items.Count} {what}: {List(items, text)}. {hint}");
    }

    private static string List<T>(IReadOnlyList<T> items, Func<T, string> text) => string.Join("; ", items.Take(MaxListed).Select(text)) + (items.Count > MaxListed ? "; …" : "");

    /// <summary>The tensors of a module: A [r, in], B [out, r], with lora_bias the bias [out], with DoRA the magnitude [out].</summary>
    private sealed record Pair(LinearModule Module, SafetensorsTensor? A = null, SafetensorsTensor? B = null, SafetensorsTensor? Bias = null, SafetensorsTensor? Magnitude = null);
}
