using System.Text;

namespace Hone.Formats.Tokenizers;

/// <summary>How a word becomes the symbols that byte pair encoding begins with.</summary>
internal abstract class SymbolReader
{
    public abstract void Read(ReadOnlySpan<char> word, ByteWord symbols);

    /// <summary>The length of the first part of a word, across whose end no merge reaches.</summary>
    public virtual int FirstPart(ReadOnlySpan<char> word) => word.Length;
}

/// <summary>Bytes, by their characters in GPT-2's alphabet. A byte without a token is dropped.</summary>
internal sealed class ByteSymbols : SymbolReader
{
    private readonly int[] _byteTokens = new int[256];

    public ByteSymbols(Vocabulary vocabulary)
    {
        for (int b = 0; b < 256; b++)
            _byteTokens[b] = vocabulary.TryGetModelId(ByteAlphabet.CharacterOf((byte)b).ToString(), out int id) ? id : -1;
    }

    public override void Read(ReadOnlySpan<char> word, ByteWord symbols) => symbols.Read(word, _byteTokens);
}

/// <summary>
/// Characters. One that is not in the vocabulary becomes the tokens <c>&lt;0xXX&gt;</c> of its UTF-8, else the unknown token, else nothing.
/// </summary>
internal sealed class CharacterSymbols : SymbolReader
{
    private readonly Vocabulary _vocabulary;
    private readonly HashSet<ulong> _joined;
    private readonly int[]? _byteTokens;
    private readonly int? _unknown;
    private readonly bool _fuseUnknown;

    /// <param name="vocabulary">The tokens.</param>
    /// <param name="joined">Neighbouring characters that some merge joins, see <see cref="PairOf(int, int)"/>.</param>
    /// <param name="byteFallback">Whether a character that is not in the vocabulary becomes its bytes.</param>
    /// <param name="unknown">What it becomes otherwise.</param>
    /// <param name="fuseUnknown">Neighbouring unknown characters are one token.</param>
    public CharacterSymbols(Vocabulary vocabulary, HashSet<ulong> joined, bool byteFallback, int? unknown, bool fuseUnknown)
    {
        (_vocabulary, _joined, _unknown, _fuseUnknown) = (vocabulary, joined, unknown, fuseUnknown);
        _byteTokens = byteFallback ? ByteTokens.Of(vocabulary) : null;
    }

    /// <summary>The last character of a merge's left side and the first of its right side.</summary>
    public static ulong PairOf(ReadOnlySpan<char> left, ReadOnlySpan<char> right)
    {
        int last = left.Length > 1 && char.IsSurrogatePair(left[^2], left[^1]) ? char.ConvertToUtf32(left[^2], left[^1]) : left[^1];
        return PairOf(last, CodePoints.RuneAt(right, 0, out _).Value);
    }

    /// <summary>A number for each pair of code points. Multiplied, since a hash of 64 bits is its halves' exclusive or, which for letters is nearly always the same few.</summary>
    public static ulong PairOf(int left, int right) => (((ulong)(uint)left << 32) | (uint)right) * 0x9E3779B97F4A7C15;

    public override int FirstPart(ReadOnlySpan<char> word)
    {
        if (word.Length <= 1)
            return word.Length;
        int previous = CodePoints.RuneAt(word, 0, out int at).Value;
        bool previousKnown = _vocabulary.TryGetModelId(word[..at], out _);
        for (int length; at < word.Length; at += length)
        {
            int next = CodePoints.RuneAt(word, at, out length).Value;
            bool known = _vocabulary.TryGetModelId(word.Slice(at, length), out _);
            if (known && previousKnown && !_joined.Contains(PairOf(previous, next)))
                return at;
            (previous, previousKnown) = (next, known);
        }
        return word.Length;
    }

    public override void Read(ReadOnlySpan<char> word, ByteWord symbols)
    {
        symbols.Reset(word.Length * 3 + 1);
        Span<byte> utf8 = stackalloc byte[4];
        (int Start, int End)? unknown = null;
        for (int at = 0, length; at < word.Length; at += length)
        {
            Rune rune = CodePoints.RuneAt(word, at, out length);
            if (_vocabulary.TryGetModelId(word.Slice(at, length), out int id))
            {
                AddUnknown(symbols, ref unknown);
                symbols.Add(id, at, at + length);
                continue;
            }
            ReadOnlySpan<byte> bytes = utf8[..rune.EncodeToUtf8(utf8)];
            if (ByteTokens.All(_byteTokens, bytes))
            {
                // An unknown character before it stays behind it, as in the tokenizers library.
                foreach (byte value in bytes)
                    symbols.Add(_byteTokens![value], at, at + length);
            }
            else if (_unknown is not null)
            {
                if (!_fuseUnknown)
                    AddUnknown(symbols, ref unknown);
                unknown = (unknown?.Start ?? at, at + length);
            }
        }
        AddUnknown(symbols, ref unknown);
    }

    private void AddUnknown(ByteWord symbols, ref (int Start, int End)? unknown)
    {
        if (unknown is { } range)
            symbols.Add(_unknown!.Value, range.Start, range.End);
        unknown = null;
    }
}

/// <summary>The tokens <c>&lt;0x00&gt;</c> to <c>&lt;0xFF&gt;</c>.</summary>
internal static class ByteTokens
{
    /// <summary>By byte; -1 where the vocabulary has none.</summary>
    public static int[] Of(Vocabulary vocabulary)
    {
        var tokens = new int[256];
        for (int b = 0; b < 256; b++)
            tokens[b] = vocabulary.TryGetModelId($"<0x{b:X2}>", out int id) ? id : -1;
        return tokens;
    }

    /// <summary>Whether every byte has a token.</summary>
    public static bool All(int[]? tokens, ReadOnlySpan<byte> bytes)
    {
        if (tokens is null)
            return false;
        foreach (byte value in bytes)
        {
            if (tokens[value] < 0)
                return false;
        }
        return true;
    }
}
