using System.Text.Json;

namespace Hone.Formats.Adapters;

/// <summary>
/// PEFT's <c>adapter_config.json</c> of a LoRA adapter: y = x Wᵀ + scale · x Aᵀ Bᵀ with scale = α / r, or α / √r with rsLoRA (arxiv.org/abs/2106.09685,
/// arxiv.org/abs/2312.03732). Ranks and α are per module where a pattern says so.
/// </summary>
public sealed record AdapterConfig
{
    public const string FileName = "adapter_config.json";
    public const string WeightsFileName = "adapter_model.safetensors";
    internal const string AllLinear = "all-linear";

    private readonly ModulePattern _patterns = new();

    /// <summary><c>base_model_name_or_path</c>; null where the config names none.</summary>
    public string? BaseModel { get; init; }

    /// <summary><c>model_type</c>, which Cloudflare's platform asks for and PEFT does not write; null: absent.</summary>
    public string? ModelType { get; init; }

    /// <summary><c>r</c></summary>
    public required int Rank { get; init; }

    /// <summary><c>lora_alpha</c></summary>
    public required double Alpha { get; init; }

    /// <summary><c>lora_dropout</c>; without effect once training is over.</summary>
    public double Dropout { get; init; }
    public bool UseRslora { get; init; }

    /// <summary>Each output is scaled to a learnt magnitude (DoRA).</summary>
    public bool UseDora { get; init; }

    /// <summary><c>lora_bias</c>: B has a bias, which is scaled as B is.</summary>
    public bool LoraBias { get; init; }

    /// <summary>Modules that were trained whole and are replaced: embedding and output matrix.</summary>
    public IReadOnlyList<string> ModulesToSave { get; init; } = [];

    /// <summary>Names or ends of names; empty where <see cref="TargetPattern"/> stands in its place.</summary>
    public IReadOnlyList<string> TargetModules { get; init; } = [];

    /// <summary><c>all-linear</c>, or a regular expression for whole module names; null: <see cref="TargetModules"/> counts.</summary>
    public string? TargetPattern { get; init; }
    public IReadOnlyList<string> ExcludeModules { get; init; } = [];
    public string? ExcludePattern { get; init; }

    /// <summary>Layers that are adapted; null: all.</summary>
    public IReadOnlyList<int>? LayersToTransform { get; init; }

    /// <summary>What stands before the layer's number in module names; empty: any name.</summary>
    public IReadOnlyList<string> LayersPattern { get; init; } = [];

    /// <summary>Ranks of modules whose names end in a match of the key; the first that matches counts.</summary>
    public IReadOnlyList<KeyValuePair<string, int>> RankPattern { get; init; } = [];

    /// <inheritdoc cref="RankPattern"/>
    public IReadOnlyList<KeyValuePair<string, double>> AlphaPattern { get; init; } = [];

    /// <summary>Keys without effect on the result that differ from PEFT's defaults; kept when the config is written again.</summary>
    public IReadOnlyDictionary<string, JsonElement> Others { get; init; } = new Dictionary<string, JsonElement>();

    /// <summary>Reads a config; finds all its errors at once.</summary>
    public static AdapterConfigResult Parse(ReadOnlyMemory<byte> json) => AdapterConfigParser.Parse(json);

    /// <summary>The file's content, with every key that PEFT writes.</summary>
    public byte[] Write() => AdapterConfigWriter.Write(this);

    /// <exception cref="InvalidFileException">A regular expression takes too long.</exception>
    public bool Targets(string module) => Named(module, TargetModules, TargetPattern) && !Named(module, ExcludeModules, ExcludePattern) && InLayers(module);

    /// <summary>The module's weight is in the adapter, in the base's place.</summary>
    public bool Saves(string module) => ModulesToSave.Any(name => ModulePattern.EndsWith(module, name));

    public int RankOf(string module) => First(RankPattern, module, Rank);

    public double AlphaOf(string module) => First(AlphaPattern, module, Alpha);

    /// <summary>What multiplies x Aᵀ Bᵀ.</summary>
    public double ScaleOf(string module) => AlphaOf(module) / (UseRslora ? Math.Sqrt(RankOf(module)) : RankOf(module));

    internal bool Named(string module, IReadOnlyList<string> names, string? pattern) => pattern switch
    {
        null => names.Any(name => ModulePattern.EndsWith(module, name)),
        AllLinear => true,
        _ => _patterns.IsWhole(module, pattern),
    };

    internal bool Matches(string key, string module) => _patterns.IsEnding(module, key);

    internal bool InLayers(string module)
    {
        if (LayersToTransform is null)
            return true;
        int? layer = LayersPattern.Count == 0 ? _patterns.Layer(module, "[^.]*") : LayersPattern.Select(pattern => _patterns.Layer(module, pattern)).FirstOrDefault(found => found is not null);
        return layer is { } index && LayersToTransform.Contains(index);
    }

    private T First<T>(IReadOnlyList<KeyValuePair<string, T>> patterns, string module, T otherwise)
    {
        foreach ((string key, T value) in patterns)
        {
            if (Matches(key, module))
                return value;
        }
        return otherwise;
    }
}

/// <summary>A parsed config, or its errors; each says the JSON path and what to do.</summary>
/// <param name="Config">Null where there are errors.</param>
public sealed record AdapterConfigResult(AdapterConfig? Config, IReadOnlyList<string> Errors, IReadOnlyList<string> Warnings);
