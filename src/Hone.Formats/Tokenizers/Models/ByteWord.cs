using System.Text;

namespace Hone.Formats.Tokenizers;

/// <summary>A word on its way to tokens: symbols, each with the units of the word that it comes from, which merging then joins.</summary>
internal sealed class ByteWord
{
    private int[] _start = [];
    private int[] _end = [];

    /// <summary>The tokens so far; merging compacts them.</summary>
    public int[] Ids { get; private set; } = [];

    /// <summary>The index of the first symbol of each token.</summary>
    public int[] First { get; private set; } = [];

    public int SymbolCount { get; private set; }

    /// <summary>Starts a word of at most <paramref name="symbols"/> symbols.</summary>
    public void Reset(int symbols)
    {
        if (Ids.Length < symbols)
        {
            symbols = Math.Max(symbols, 64);
            Ids = new int[symbols];
            First = new int[symbols];
            _start = new int[symbols];
            _end = new int[symbols];
        }
        SymbolCount = 0;
    }

    public void Add(int id, int start, int end)
    {
        Ids[SymbolCount] = id;
        First[SymbolCount] = SymbolCount;
        _start[SymbolCount] = start;
        _end[SymbolCount++] = end;
    }

    /// <summary>One symbol for each byte of the word's UTF-8 that has a token; a byte without one is dropped.</summary>
    public void Read(ReadOnlySpan<char> word, int[] byteTokens)
    {
        Reset(word.Length * 3); // a UTF-16 unit is at most three bytes of UTF-8
        Span<byte> utf8 = stackalloc byte[4];
        for (int at = 0, length; at < word.Length; at += length)
        {
            if (word[at] < 128)
            {
                length = 1;
                if (byteTokens[word[at]] >= 0)
                    Add(byteTokens[word[at]], at, at + 1);
                continue;
            }
            Rune rune = CodePoints.RuneAt(word, at, out length);
            foreach (byte value in utf8[..rune.EncodeToUtf8(utf8)])
            {
                if (byteTokens[value] >= 0)
                    Add(byteTokens[value], at, at + length);
            }
        }
    }

    /// <summary>Appends <paramref name="count"/> tokens with the ranges of the whole characters that their symbols come from, counted from <paramref name="at"/>.</summary>
    public void AppendTo(TokenBuffer output, int count, int at)
    {
        for (int i = 0; i < count; i++)
        {
            int last = (i + 1 < count ? First[i + 1] : SymbolCount) - 1;
            output.Add(Ids[i], at + _start[First[i]], at + _end[last]);
        }
    }
}
