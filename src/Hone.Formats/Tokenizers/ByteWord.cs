using System.Text;

namespace Hone.Formats.Tokenizers;

/// <summary>A word on its way to tokens: one symbol for each of its bytes that has a token; a byte without one is dropped.</summary>
internal sealed class ByteWord
{
    private int[] _source = [];

    /// <summary>The tokens so far; merging compacts them.</summary>
    public int[] Ids { get; private set; } = [];

    /// <summary>The index of the first symbol of each token.</summary>
    public int[] First { get; private set; } = [];

    public int SymbolCount { get; private set; }

    public void Read(ReadOnlySpan<char> word, int[] byteTokens)
    {
        if (Ids.Length < word.Length * 3)
        {
            // A UTF-16 unit is at most three bytes of UTF-8.
            Ids = new int[word.Length * 3];
            First = new int[word.Length * 3];
            _source = new int[word.Length * 3];
        }
        SymbolCount = 0;
        Span<byte> utf8 = stackalloc byte[4];
        for (int at = 0, length; at < word.Length; at += length)
        {
            if (word[at] < 128)
            {
                length = 1;
                Append(byteTokens[word[at]], at);
                continue;
            }
            Rune rune = CodePoints.RuneAt(word, at, out length);
            foreach (byte value in utf8[..rune.EncodeToUtf8(utf8)])
                Append(byteTokens[value], at);
        }
    }

    /// <summary>Appends <paramref name="count"/> tokens with the ranges of the whole characters that their symbols come from.</summary>
    public void AppendTo(TokenBuffer output, int count, ReadOnlySpan<char> word, int at)
    {
        for (int i = 0; i < count; i++)
        {
            int lastSymbol = (i + 1 < count ? First[i + 1] : SymbolCount) - 1;
            int lastCharacter = _source[lastSymbol];
            CodePoints.RuneAt(word, lastCharacter, out int length);
            output.Add(Ids[i], at + _source[First[i]], at + lastCharacter + length);
        }
    }

    private void Append(int id, int at)
    {
        if (id < 0)
            return;
        Ids[SymbolCount] = id;
        First[SymbolCount] = SymbolCount;
        _source[SymbolCount++] = at;
    }
}
