using Hone.Formats.Gguf;
using Hone.Formats.Models.FourBit;

namespace Hone.Formats.Models;

/// <summary>
/// A base model's config and tensors behind Hugging Face's names, from a GGUF file or a Hugging Face folder, read on demand from the memory-mapped files. Opening
/// checks that there are exactly the tensors that the config demands, so that no weight is left out unnoticed.
/// </summary>
public sealed class ModelWeights : IDisposable
{
    private const int MaxListed = 8;
    private const int RunValues = 1 << 16;

    private readonly TensorSource _source;
    private readonly Dictionary<string, ModelTensor> _byName;

    internal ModelWeights(string path, ModelConfig config, TensorSource source)
    {
        Path = path;
        Config = config;
        _source = source;
        ModelTensor[] tensors = [.. ModelTensors.Of(config)];
        _byName = tensors.ToDictionary(t => t.Name, StringComparer.Ordinal);
        CheckTensors(tensors);
        Tensors = [.. tensors.Select(t => new NamedShape(t.Name, t.Shape))];
        LinearModules = [.. tensors.Where(t => t.Linear).Select(t => new LinearModule(t.Name[..^".weight".Length], (int)t.Shape[1], (int)t.Shape[0]))];
        Type = source.Type;
    }

    /// <summary>The file or the folder.</summary>
    public string Path { get; }

    public ModelConfig Config { get; }

    /// <summary>The type that most weights are stored in, such as <c>Q4_1</c> or <c>BF16</c>.</summary>
    public string Type { get; }

    /// <summary>All tensors by Hugging Face's names, in the order of a forward pass; a tied output matrix is the embedding and not listed.</summary>
    public IReadOnlyList<NamedShape> Tensors { get; }

    /// <summary>The matrices of the layers that an adapter can stand on, in the order of a forward pass; experts and the output matrix are none of them.</summary>
    public IReadOnlyList<LinearModule> LinearModules { get; }

    public long Parameters => Tensors.Sum(t => Elements(t.Shape));

    /// <exception cref="InvalidFileException">It holds no model, or one that is not supported or not whole.</exception>
    public static ModelWeights Open(string path)
    {
        if (Directory.Exists(path))
            return OpenFolder(path);
        GgufFile file = GgufFile.Open(path);
        try
        {
            return OpenGguf(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>The tensors of an open GGUF file, which is disposed with them.</summary>
    internal static ModelWeights OpenGguf(GgufFile file)
    {
        ModelConfig config = GgufModelConfig.Read(file);
        return new ModelWeights(file.Path, config, new GgufSource(file, config.NormAddsOne));
    }

    private static ModelWeights OpenFolder(string folder)
    {
        string configPath = System.IO.Path.Combine(folder, HuggingFaceConfig.FileName);
        if (!File.Exists(configPath))
            throw new InvalidFileException($"{folder}: there is no {HuggingFaceConfig.FileName}. Name a folder with a Hugging Face model, or a GGUF file.");
        ModelConfig config = HuggingFaceConfig.Read(configPath);
        SafetensorsSource source = HuggingFaceFolder.Open(folder);
        try
        {
            return new ModelWeights(folder, config, source);
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <summary>A tensor's values, row-major [out, in], in Hugging Face's order of rows. Safe from many threads.</summary>
    /// <param name="start">The first element, a row's.</param>
    /// <param name="destination">As long as the tensor has elements, or whole rows of it.</param>
    public void ReadFloat32(string huggingFaceName, long start, Span<float> destination)
    {
        ModelTensor tensor = _byName.GetValueOrDefault(huggingFaceName) ?? throw new ArgumentException($"The model has no tensor '{huggingFaceName}'.", nameof(huggingFaceName));
        _source.Read(tensor, start, destination);
    }

    /// <summary>A matrix as the file stores it, to be widened in parts; null where only <see cref="ReadFloat32"/> can read it.</summary>
    public StoredMatrix? Stored(string huggingFaceName) => _source.Stored(_byName[huggingFaceName]);

    /// <summary>A matrix rounded to four-bit blocks, read in runs of about 256 KB.</summary>
    /// <param name="nested">The blocks' scales are rounded too.</param>
    public FourBitMatrix Quantize(string huggingFaceName, FourBitKind kind, bool nested)
    {
        ModelTensor tensor = _byName[huggingFaceName];
        long elements = Elements(tensor.Shape);
        int columns = checked((int)tensor.Shape[1]), step = columns % FourBitMatrix.BlockValues == 0 ? 1 : FourBitMatrix.BlockValues; // rows with which a block ends
        var quantizer = new FourBitQuantizer(kind, checked((int)tensor.Shape[0]), columns);
        var run = new float[Math.Min(elements, (long)columns * Math.Max(step, RunValues / columns / step * step))];
        for (long start = 0; start < elements; start += run.Length)
        {
            Span<float> values = run.AsSpan(0, (int)Math.Min(run.Length, elements - start));
            ReadFloat32(huggingFaceName, start, values);
            quantizer.Add(start, values);
        }
        return quantizer.Finish(nested);
    }

    /// <summary>The first value of each tensor that is not finite: with one, every answer is wrong. Reads all weights, in runs of 256 KB.</summary>
    public IReadOnlyList<string> FindNotFinite(CancellationToken cancellationToken)
    {
        var found = new string?[Tensors.Count];
        Parallel.For(0, Tensors.Count, new ParallelOptions { CancellationToken = cancellationToken }, () => new float[RunValues], (index, _, buffer) =>
        {
            string stored = _source.StoredName(_byName[Tensors[index].Name])!;
            long elements = Elements(Tensors[index].Shape);
            for (long start = 0; start < elements && found[index] is null; start += RunValues)
            {
                cancellationToken.ThrowIfCancellationRequested();
                Span<float> run = buffer.AsSpan(0, (int)Math.Min(RunValues, elements - start));
                _source.ReadRun(stored, start, run);
                if (FiniteValues.FirstOther(run) is >= 0 and var at)
                    found[index] = $"{Path}: the tensor '{stored}' holds {run[at]} at index {start + at}: every answer would be wrong. Get the model's files anew.";
            }
            return buffer;
        }, _ => { });
        return [.. found.OfType<string>()];
    }

    public void Dispose() => _source.Dispose();

    private void CheckTensors(ModelTensor[] tensors)
    {
        var wrong = new List<string>();
        var known = new HashSet<string>(StringComparer.Ordinal);
        foreach (ModelTensor tensor in tensors)
        {
            if (_source.StoredName(tensor) is not { } name)
                throw new InvalidFileException($"{Path}: the tensor '{tensor.Name}' cannot be read from GGUF. Use the model's Hugging Face folder.");
            known.Add(name);
            if (_source.ShapeOf(name) is not { } shape)
                wrong.Add($"'{name}' is missing");
            else if (!shape.SequenceEqual(tensor.Shape))
                wrong.Add($"'{name}' has the shape [{string.Join(", ", shape)}] where the config demands [{string.Join(", ", tensor.Shape)}]");
            else if (_source.Unreadable(name) is { } why)
                wrong.Add($"'{name}' {why}");
        }
        wrong.AddRange(_source.Names.Where(n => !known.Contains(n) && !IsTiedHead(n)).Select(n => $"'{n}' has no place in a {Config.Architecture} model with this config"));
        if (wrong.Count > 0)
            throw new InvalidFileException($"{Path}: {wrong.Count} tensors do not fit: {string.Join("; ", wrong.Take(MaxListed))}{(wrong.Count > MaxListed ? "; …" : "")}. Get or convert the model again, or use another.");
    }

    /// <summary>Some files hold a tied output matrix too: fine where it is the embedding indeed.</summary>
    private bool IsTiedHead(string name)
    {
        if (name != ModelTensors.HeadName || !Config.TiedEmbeddings)
            return false;
        ModelTensor embedding = _byName["model.embed_tokens.weight"];
        string stored = _source.StoredName(embedding)!;
        if (_source.ShapeOf(stored)?.SequenceEqual(_source.ShapeOf(name)!) is not true || _source.Unreadable(name) is not null || _source.Unreadable(stored) is not null)
            return false;
        float[] one = new float[RunValues], other = new float[RunValues];
        long elements = Elements(embedding.Shape);
        for (long start = 0; start < elements; start += RunValues)
        {
            int length = (int)Math.Min(RunValues, elements - start);
            _source.ReadRun(stored, start, one.AsSpan(0, length));
            _source.ReadRun(name, start, other.AsSpan(0, length));
            if (!one.AsSpan(0, length).SequenceEqual(other.AsSpan(0, length)))
                return false;
        }
        return true;
    }

    private static long Elements(long[] shape) => shape.Aggregate(1L, (product, size) => product * size);
}
