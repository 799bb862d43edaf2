using Hone.Formats.Models;
using Hone.Formats.Safetensors;

namespace Hone.Formats.Adapters;

/// <summary>
/// An adapter's two files, open for reading. Opening checks that the weights hold what the config demands of this base, and nothing beside it, so that no tensor is left
/// out unnoticed; reading checks that all values are finite.
/// </summary>
public sealed class AdapterFiles : IDisposable
{
    private const int MaxListed = 5;

    private readonly SafetensorsFile _weights;

    private AdapterFiles(AdapterConfig config, SafetensorsFile weights, AdapterPlaces places)
    {
        Config = config;
        _weights = weights;
        Modules = [.. places.Linear.Where(m => config.Targets(m.Name))];
        Whole = [.. places.Whole.Where(m => config.Saves(m.Name))];
    }

    public AdapterConfig Config { get; }

    /// <summary>The modules with a low-rank addition.</summary>
    public IReadOnlyList<LinearModule> Modules { get; }

    /// <summary>The modules that are replaced.</summary>
    public IReadOnlyList<LinearModule> Whole { get; }

    /// <exception cref="InvalidFileException">The files do not fit each other or the base.</exception>
    public static AdapterFiles Open(string configPath, string weightsPath, ModelConfig baseConfig)
    {
        AdapterConfigResult parsed = AdapterConfig.Parse(File.ReadAllBytes(configPath));
        AdapterConfig config = parsed.Config ?? throw new InvalidFileException($"{configPath}: {string.Join(" ", parsed.Errors)}");
        var files = new AdapterFiles(config, SafetensorsFile.Open(weightsPath), AdapterPlaces.Of(baseConfig));
        try
        {
            files.Check();
            return files;
        }
        catch
        {
            files.Dispose();
            throw;
        }
    }

    /// <param name="folder">With the files under PEFT's names.</param>
    /// <inheritdoc cref="Open(string, string, ModelConfig)"/>
    public static AdapterFiles Open(string folder, ModelConfig baseConfig) =>
        Open(Path.Combine(folder, AdapterConfig.FileName), Path.Combine(folder, AdapterConfig.WeightsFileName), baseConfig);

    public float[] Read(AdapterTensor tensor, string module)
    {
        var values = new float[_weights.Find(PeftNames.Of(tensor, module))!.Elements];
        Read(tensor, module, values);
        return values;
    }

    /// <param name="destination">As long as the tensor has elements.</param>
    public void Read(AdapterTensor tensor, string module, Span<float> destination)
    {
        string name = PeftNames.Of(tensor, module);
        _weights.ReadFloat32(name, destination);
        if (FiniteValues.FirstOther(destination) is >= 0 and var at)
            throw new InvalidFileException($"{_weights.Path}: '{name}' holds {destination[at]} at element {at}: every answer would be wrong. The training diverged; train again with a lower learning rate.");
    }

    /// <summary>Reads all tensors for that alone.</summary>
    /// <exception cref="InvalidFileException">A value is not finite.</exception>
    public void CheckFinite()
    {
        foreach (LinearModule module in Modules)
        {
            Read(AdapterTensor.A, module.Name);
            Read(AdapterTensor.B, module.Name);
            if (Config.LoraBias)
                Read(AdapterTensor.Bias, module.Name);
            if (Config.UseDora)
                Read(AdapterTensor.Magnitude, module.Name);
        }
        foreach (LinearModule module in Whole)
            Read(AdapterTensor.Whole, module.Name);
    }

    public void Dispose() => _weights.Dispose();

    private void Check()
    {
        var wrong = new List<string>();
        var demanded = new HashSet<string>(StringComparer.Ordinal);
        foreach ((string name, long[] shape) in Demanded())
        {
            demanded.Add(name);
            if (_weights.Find(name) is not { } stored)
                wrong.Add($"'{name}' is missing");
            else if (!stored.Shape.SequenceEqual(shape))
                wrong.Add($"'{name}' is [{string.Join(", ", stored.Shape)}] instead of [{string.Join(", ", shape)}]");
        }
        wrong.AddRange(_weights.Tensors.Where(t => !demanded.Contains(t.Name)).Select(t => $"'{t.Name}' has no place"));
        if (wrong.Count > 0)
        {
            throw new InvalidFileException(
                $"{_weights.Path}: {wrong.Count} tensors do not fit {AdapterConfig.FileName} and the base model: {string.Join("; ", wrong.Take(MaxListed))}{(wrong.Count > MaxListed ? "; …" : "")}. Choose the model that the adapter was trained on.");
        }
        if (demanded.Count == 0)
            throw new InvalidFileException($"{_weights.Path}: {AdapterConfig.FileName} names no module of the base model: the adapter has no effect. Choose the model that it was trained on.");
        if (TrainedWith.Differences(Config, _weights.Metadata) is { Count: > 0 } differences)
            throw new InvalidFileException($"{_weights.Path}: {string.Join(" ", differences)}");
    }

    private IEnumerable<(string Name, long[] Shape)> Demanded()
    {
        foreach (LinearModule module in Modules)
        {
            int rank = Config.RankOf(module.Name);
            yield return (PeftNames.A(module.Name), [rank, module.In]);
            yield return (PeftNames.B(module.Name), [module.Out, rank]);
            if (Config.LoraBias)
                yield return (PeftNames.Of(AdapterTensor.Bias, module.Name), [module.Out]);
            if (Config.UseDora)
                yield return (PeftNames.Magnitude(module.Name), [module.Out]);
        }
        foreach (LinearModule module in Whole)
            yield return (PeftNames.Of(AdapterTensor.Whole, module.Name), [module.Out, module.In]);
    }
}
