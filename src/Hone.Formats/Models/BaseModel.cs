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
    private static readonly string[] s_stopKeys = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"];

    private const string Mismatch = "Get config.json and tokenizer.json of the same model.";

    private readonly ModelWeights _weights;

    private BaseModel(GgufFile file)
    {
        _weights = ModelWeights.OpenGguf(file);
        Name = file.Metadata.String("general.name");
        Tokenizer = Tokenizer.FromGguf(file);
        CheckVocabulary("Convert the model again with a current converter.");
        BosToken = SpecialToken(file, "tokenizer.ggml.bos_token_id")?.Text;
        EosToken = SpecialToken(file, "tokenizer.ggml.eos_token_id")?.Text;
        PadToken = file.Metadata.Integer("tokenizer.ggml.padding_token_id") is >= 0 and var pad && pad < Tokenizer.VocabularySize ? Tokenizer.TokenText((int)pad) : null;
        ChatTemplate = Template(file);
        NamedStopTokens = [.. s_stopKeys.Select(key => SpecialToken(file, key)?.Id).OfType<int>().Distinct()];
        StopTokens = WithEndOfTurn(NamedStopTokens);
    }

    private BaseModel(string folder)
    {
        _weights = ModelWeights.Open(folder);
        try
        {
            string tokenizer = System.IO.Path.Combine(folder, "tokenizer.json");
            if (!File.Exists(tokenizer))
                throw new InvalidFileException($"{folder}: there is no tokenizer.json. Save the tokenizer with Transformers' fast tokenizer, or get the file.");
            Tokenizer = Tokenizer.FromTokenizerJson(tokenizer, Config.VocabularySize);
            CheckVocabulary(Mismatch);
            var texts = new HuggingFaceTexts(folder, Tokenizer);
            Tokenizer = texts.Tokenizer;
            BosToken = texts.BosToken;
            EosToken = texts.EosToken;
            PadToken = texts.PadToken;
            ChatTemplate = texts.Template;
            if (Tokenizer.WithoutEmbedding.FirstOrDefault(token => Writes(ChatTemplate, token) || Writes(ChatTemplate?.ForTools, token)) is { } missing)
                throw new InvalidFileException($"{folder}: the chat template writes '{missing}', a token of tokenizer.json that the model has no embedding for: it has {Config.VocabularySize}. {Mismatch}");
            Name = System.IO.Path.GetFileName(System.IO.Path.GetFullPath(folder).TrimEnd(System.IO.Path.DirectorySeparatorChar));
            NamedStopTokens = texts.StopTokens;
            StopTokens = WithEndOfTurn(NamedStopTokens);
        }
        catch
        {
            _weights.Dispose();
            throw;
        }
    }

    /// <summary>The GGUF file, or the Hugging Face folder.</summary>
    public string Path => _weights.Path;
    public ModelConfig Config => _weights.Config;
    public int ContextLength => Config.ContextLength;

    /// <summary>The name that the file gives the model; null where it has none.</summary>
    public string? Name { get; }

    /// <summary>The type that most weights are stored in, such as <c>Q4_1</c> or <c>BF16</c>.</summary>
    public string Quantization => _weights.Type;

    /// <summary>Values of all tensors; a tied output matrix counts once.</summary>
    public long Parameters => _weights.Parameters;

    public Tokenizer Tokenizer { get; }
    public string? BosToken { get; }
    public string? EosToken { get; }

    /// <summary>What programs fill short rows of a batch with; packing needs none.</summary>
    public string? PadToken { get; }

    /// <summary>Null where the file has none: such a model takes plain text only.</summary>
    public ChatTemplate? ChatTemplate { get; }

    /// <summary>Tokens that end an answer: those that the file names, and the one that the chat template ends a turn with.</summary>
    public IReadOnlyList<int> StopTokens { get; }

    /// <summary>Of <see cref="StopTokens"/> those that the files name.</summary>
    public IReadOnlyList<int> NamedStopTokens { get; }

    /// <inheritdoc cref="ModelWeights.LinearModules"/>
    public IReadOnlyList<LinearModule> LinearModules => _weights.LinearModules;

    /// <summary>Config and tensors alone.</summary>
    public ModelWeights Weights => _weights;

    /// <inheritdoc cref="ModelWeights.Tensors"/>
    public IReadOnlyList<NamedShape> Tensors => _weights.Tensors;

    /// <exception cref="InvalidFileException">There is no readable GGUF or Hugging Face folder, or it holds a model that is not supported or not whole.</exception>
    public static BaseModel Open(string path)
    {
        if (Directory.Exists(path))
            return new BaseModel(path);
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

    /// <inheritdoc cref="ModelWeights.ReadFloat32"/>
    public void ReadFloat32(string huggingFaceName, Span<float> destination) => _weights.ReadFloat32(huggingFaceName, 0, destination);

    /// <inheritdoc cref="ModelWeights.ReadFloat32"/>
    public void ReadFloat32(string huggingFaceName, long start, Span<float> destination) => _weights.ReadFloat32(huggingFaceName, start, destination);

    /// <inheritdoc cref="ModelWeights.Stored"/>
    public StoredMatrix? Stored(string huggingFaceName) => _weights.Stored(huggingFaceName);

    /// <summary>Products widen every layer's matrices as they pack them; see <see cref="StoredMatrix.HasParts"/>.</summary>
    public bool HasParts => ModelTensors.Of(Config).Where(t => t.IsProjection).All(t => Stored(t.Name) is { HasParts: true });

    /// <inheritdoc cref="ModelWeights.FindNotFinite"/>
    public IReadOnlyList<string> FindNotFinite(CancellationToken cancellationToken) => _weights.FindNotFinite(cancellationToken);

    public void Dispose() => _weights.Dispose();

    private void CheckVocabulary(string hint)
    {
        if (Tokenizer.VocabularySize > Config.VocabularySize) // fewer are fine: embeddings are often padded
            throw new InvalidFileException($"{Path}: the tokenizer has {Tokenizer.VocabularySize} tokens, but the model has embeddings for {Config.VocabularySize}. {hint}");
    }

    private static bool Writes(ChatTemplate? template, string token) => template is not null && template.Source.Contains(token, StringComparison.Ordinal);

    private int[] WithEndOfTurn(IEnumerable<int> stops)
    {
        int? endOfTurn = ChatTemplate is null ? null : EndOfTurn.Find(ChatTemplate, Tokenizer, BosToken, EosToken);
        return [.. stops.Concat(endOfTurn is { } id ? [id] : []).Distinct()];
    }

    private static ChatTemplate? Template(GgufFile file)
    {
        if (file.Metadata.String("tokenizer.chat_template") is not { } source)
            return null;
        try
        {
            return ChatTemplate.Parse(source);
        }
        catch (ChatTemplateException e)
        {
            throw new InvalidFileException($"{file.Path}: the metadata key 'tokenizer.chat_template' cannot be used: {e.Message} Correct the template and convert the model again.", e);
        }
    }

    private static (int Id, string Text)? SpecialToken(GgufFile file, string key)
    {
        if (file.Metadata.Int32(key) is not { } id)
            return null;
        IReadOnlyList<string> tokens = file.Metadata.RequiredStrings("tokenizer.ggml.tokens");
        return id >= 0 && id < tokens.Count
            ? (id, tokens[id])
            : throw new InvalidFileException($"{file.Path}: the metadata key '{key}' is {id}, but the tokenizer has {tokens.Count} tokens. Convert the model again with a current converter.");
    }
}
