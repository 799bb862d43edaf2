using Hone.Formats.Gguf;
using Hone.Formats.Tokenizers;

namespace Hone.Formats.Tests.Tokenizers;

/// <summary>The tokenizer of the embedded base, opened once.</summary>
internal static class SmolLm2
{
    public static Tokenizer Tokenizer { get; } = Open();

    public static int Id(string token) => Tokenizer.TokenId(token) ?? throw new InvalidOperationException($"No token {token}.");

    private static Tokenizer Open()
    {
        using var file = GgufFile.Open(References.EmbeddedBase);
        return Tokenizer.FromGguf(file);
    }
}
