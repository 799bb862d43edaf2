using Hone.Formats.ChatTemplates;
using Hone.Formats.Gguf;
using Hone.Formats.Tokenizers;

namespace Hone.Formats.Models;

/// <summary>
/// A base model's file behind Hugging Face's names: config, special tokens, and the weights as float32. Weights are read on demand from the memory-mapped
/// file. Opening checks that the model has exactly the tensors that its config demands, so that no weight is left out unnoticed.
/// </summary>
public sealed class BaseModel : IDisposable
{
    private const int MaxListed = 8;

    private static readonly string[] s_stopKeys = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"];

    private readonly GgufFile _file;
    private readonly Dictionary<string, ModelTensor> _byName;

    private BaseModel(GgufFile file)
    {
        _file = file;
        Config = GgufModelConfig.Read(file);
        ModelTensor[] tensors = [.. LlamaTensors.Of(Config)];
        CheckTensors(tensors);
        _byName = tensors.ToDictionary(t => t.Name, StringComparer.Ordinal);
        Tensors = [.. tensors.Select(t => new NamedShape(t.Name, t.Shape))];
        LinearModules = [.. tensors.Where(t => t.Linear).Select(t => new LinearModule(t.Name[..^".weight".Length], (int)t.Shape[1], (int)t.Shape[0]))];

        Tokenizer = Tokenizer.FromGguf(file);
        if (Tokenizer.VocabularySize > Config.VocabularySize) // fewer are fine: embeddings are often padded
            throw new InvalidFileException($"{Path}: the tokenizer has {Tokenizer.VocabularySize} tokens, but the model has embeddings for {Config.VocabularySize}. Convert the model again with a current converter.");
        BosToken = SpecialToken("tokenizer.ggml.bos_token_id")?.Text;
        EosToken = SpecialToken("tokenizer.ggml.eos_token_id")?.Text;
        ChatTemplate = Template();
        int? endOfTurn = ChatTemplate is null ? null : EndOfTurn.Find(ChatTemplate, Tokenizer, BosToken, EosToken);
        StopTokens = [.. s_stopKeys.Select(key => SpecialToken(key)?.Id).Append(endOfTurn).OfType<int>().Distinct()];
        Quantization = file.Tensors.GroupBy(t => t.Type).MaxBy(g => g.Sum(t => t.Elements))!.Key.ToString();
    }

    public string Path => _file.Path;
    public ModelConfig Config { get; }
    public int ContextLength => Config.ContextLength;

    /// <summary>The name that the file gives the model; null where it has none.</summary>
    public string? Name => _file.Metadata.String("general.name");

    /// <summary>The type that most weights are stored in, such as <c>Q4_1</c>.</summary>
    public string Quantization { get; }

    /// <summary>Values of all tensors; a tied output matrix counts once.</summary>
    public long Parameters => Tensors.Sum(t => t.Shape.Aggregate(1L, (product, size) => product * size));

    public Tokenizer Tokenizer { get; }
    public string? BosToken { get; }
    public string? EosToken { get; }

    /// <summary>Null where the file has none: such a model takes plain text only.</summary>
    public ChatTemplate? ChatTemplate { get; }

    /// <summary>Tokens that end an answer: those that the file names, and the one that the chat template ends a turn with.</summary>
    public IReadOnlyList<int> StopTokens { get; }

    /// <summary>The matrices of the layers, in the order of a forward pass; the output matrix is none of them.</summary>
    public IReadOnlyList<LinearModule> LinearModules { get; }

    /// <summary>All tensors by Hugging Face's names, in the order of a forward pass.</summary>
    public IReadOnlyList<NamedShape> Tensors { get; }

    /// <exception cref="InvalidFileException">The file is no readable GGUF, or holds a model that is not supported or not whole.</exception>
    public static BaseModel Open(string path)
    {
        GgufFile file = GgufFile.Open(path);
        try
        {
            return new BaseModel(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>A tensor's values, row-major [out, in], in Hugging Face's order of rows. Safe from many threads.</summary>
    /// <param name="destination">As long as the tensor has elements.</param>
    public void ReadFloat32(string huggingFaceName, Span<float> destination)
    {
        if (!_byName.TryGetValue(huggingFaceName, out ModelTensor? tensor))
            throw new ArgumentException($"The model has no tensor '{huggingFaceName}'.", nameof(huggingFaceName));
        _file.ReadFloat32(_file.Find(tensor.GgufName)!, destination, tensor.PermutedHeads);
    }

    public void Dispose() => _file.Dispose();

    private void CheckTensors(ModelTensor[] tensors)
    {
        var wrong = new List<string>();
        foreach (ModelTensor tensor in tensors)
        {
            GgufTensor? stored = _file.Find(tensor.GgufName);
            if (stored is null)
                wrong.Add($"'{tensor.GgufName}' is missing");
            else if (!stored.Shape.SequenceEqual(tensor.Shape))
                wrong.Add($"'{tensor.GgufName}' has the shape [{string.Join(", ", stored.Shape)}] where the config demands [{string.Join(", ", tensor.Shape)}]");
        }
        var known = tensors.Select(t => t.GgufName).ToHashSet(StringComparer.Ordinal);
        wrong.AddRange(_file.Tensors.Where(t => !known.Contains(t.Name)).Select(t => $"'{t.Name}' has no place in a {Config.Architecture} model"));
        if (wrong.Count > 0)
            throw new InvalidFileException($"{Path}: {wrong.Count} tensors do not fit: {string.Join("; ", wrong.Take(MaxListed))}{(wrong.Count > MaxListed ? "; …" : "")}. Convert the model again, or use another.");
    }

    private ChatTemplate? Template()
    {
        if (_file.Metadata.String("tokenizer.chat_template") is not { } source)
            return null;
        try
        {
            return ChatTemplate.Parse(source);
        }
        catch (ChatTemplateException e)
        {
            throw new InvalidFileException($"{Path}: the metadata key 'tokenizer.chat_template' cannot be used: {e.Message} Correct the template and convert the model again.", e);
        }
    }

    private (int Id, string Text)? SpecialToken(string key)
    {
        if (_file.Metadata.Int32(key) is not { } id)
            return null;
        IReadOnlyList<string> tokens = _file.Metadata.RequiredStrings("tokenizer.ggml.tokens");
        return id >= 0 && id < tokens.Count
            ? (id, tokens[id])
            : throw new InvalidFileException($"{Path}: the metadata key '{key}' is {id}, but the tokenizer has {tokens.Count} tokens. Convert the model again with a current converter.");
    }
}
