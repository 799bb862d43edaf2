namespace Hone.Formats.Tokenizers;

/// <summary>What a name of <c>tokenizer.ggml.pre</c> stands for.</summary>
/// <param name="Patterns">Each splits what the one before left.</param>
/// <param name="IgnoreMerges">A word that is in the vocabulary is that one token.</param>
/// <param name="AddsBeginning">What a file means that does not say whether texts have a beginning token.</param>
/// <param name="Composes">The text is brought into NFC first.</param>
internal sealed record GgufPreTokenizer(TextPattern[] Patterns, bool IgnoreMerges = false, bool AddsBeginning = false, bool Composes = false);

/// <summary>The names of byte-level pre-tokenizers, by which GGUF files tell what llama.cpp and the tokenizer.json of the same model split by.</summary>
internal static class GgufPreTokenizers
{
    private const string Gpt4o =
        @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string Tekken =
        @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string DeepSeek3 =
        @"[!""#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    public static IReadOnlyList<string> Names { get; } =
        ["smollm", "starcoder", "refact", "command-r", "gpt-2", "olmo", "phi-2", "llama-bpe", "llama3", "llama-v3", "falcon3", "dbrx", "smaug-bpe", "qwen2", "deepseek-r1-qwen", "stablelm2", "tekken", "gpt-4o", "llama4", "deepseek-v3"];

    /// <summary>Null for a name that is not known.</summary>
    public static GgufPreTokenizer? Find(string name) => name switch
    {
        "smollm" or "starcoder" or "refact" or "command-r" => new([new CoveringPattern(WordPatterns.IndividualDigits), new CoveringPattern(WordPatterns.Gpt2)]),
        "gpt-2" or "olmo" or "phi-2" => new([new CoveringPattern(WordPatterns.Gpt2)]),
        "llama-bpe" or "llama3" or "llama-v3" or "falcon3" => new([new CoveringPattern(WordPatterns.Llama3)], IgnoreMerges: true, AddsBeginning: true),
        "dbrx" or "smaug-bpe" => new([new CoveringPattern(WordPatterns.Llama3)]),
        "qwen2" or "deepseek-r1-qwen" => new([new CoveringPattern(WordPatterns.Qwen2)], Composes: true),
        "stablelm2" => new([new CoveringPattern(WordPatterns.Qwen2)]),
        "tekken" => new([RegexPattern.Parse(Tekken)], IgnoreMerges: true),
        "gpt-4o" or "llama4" => new([RegexPattern.Parse(Gpt4o)]),
        "deepseek-v3" => new([RegexPattern.Parse(@"\p{N}{1,3}"), RegexPattern.Parse("[一-龥぀-ゟ゠-ヿ]+"), RegexPattern.Parse(DeepSeek3)]),
        _ => null,
    };
}
