using System.Text.Json;

namespace Hone.Formats.Tokenizers;

/// <summary>Reads <c>{"String": …}</c> and <c>{"Regex": …}</c>.</summary>
internal static class PatternReader
{
    // The patterns that nearly all byte-level tokenizers use have matchers of their own.
    private const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
    private const string Llama3 = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string Qwen2 = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    public static TextPattern Read(JsonFields owner, string name)
    {
        JsonFields fields = owner.Object(name);
        (string Kind, JsonElement Value)[] members = [.. fields.All()];
        if (members is not [("String" or "Regex", { ValueKind: JsonValueKind.String })])
            throw owner.Error(name, "is no pattern: wanted is {\"String\": text} or {\"Regex\": text}.");
        string text = fields.Text(members[0].Kind);
        if (members[0].Kind == "String")
            return new LiteralPattern(text);
        try
        {
            return Regex(text, $"{fields.Source}: {fields.PathOf("Regex")}");
        }
        catch (PatternException e)
        {
            throw JsonFields.Invalid(fields.Source, fields.PathOf("Regex"), $"({JsonFields.Quote(text)}) cannot be used: {e.Message}.", e);
        }
    }

    private static TextPattern Regex(string pattern, string source) => pattern switch
    {
        Gpt2 => new CoveringPattern(WordPatterns.Gpt2),
        Llama3 => new CoveringPattern(WordPatterns.Llama3),
        Qwen2 => new CoveringPattern(WordPatterns.Qwen2),
        _ => RegexPattern.Parse(pattern, source),
    };
}
