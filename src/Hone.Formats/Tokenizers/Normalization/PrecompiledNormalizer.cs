using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Unicode;

namespace Hone.Formats.Tokenizers;

/// <summary>
/// SentencePiece's <c>precompiled_charsmap</c>: the size of a double-array trie (Darts), the trie, and the texts with a zero byte behind each. As
/// the tokenizers library reads it, a grapheme of fewer than six bytes is looked up whole and then by its characters, and of several keys
/// that it begins with the shortest counts.
/// </summary>
internal sealed class PrecompiledNormalizer : Normalizer
{
    private const int LongestGrapheme = 5;

    private readonly uint[] _trie;
    private readonly byte[] _texts;

    private PrecompiledNormalizer(uint[] trie, byte[] texts) => (_trie, _texts) = (trie, texts);

    /// <summary>Null when the bytes are no charsmap.</summary>
    public static PrecompiledNormalizer? Parse(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < 8)
            return null;
        uint size = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        if (size == 0 || size % 4 != 0 || size > bytes.Length - 4 || !Utf8.IsValid(bytes[(4 + (int)size)..]))
            return null;
        var trie = new uint[size / 4];
        for (int i = 0; i < trie.Length; i++)
            trie[i] = BinaryPrimitives.ReadUInt32LittleEndian(bytes[(4 + (4 * i))..]);
        return new PrecompiledNormalizer(trie, bytes[(4 + (int)size)..].ToArray());
    }

    public override AlignedText Normalize(in AlignedText text)
    {
        ReadOnlySpan<char> units = text.Text;
        AlignedTextBuilder? builder = null;
        Span<byte> utf8 = stackalloc byte[LongestGrapheme];
        for (int at = 0, length; at < units.Length; at += length)
        {
            length = StringInfo.GetNextTextElementLength(units[at..]);
            // A longer grapheme does not fit.
            if (length <= LongestGrapheme && Encoding.UTF8.TryGetBytes(units.Slice(at, length), utf8, out int bytes) && Find(utf8[..bytes]) is { } whole)
            {
                Write(text, at, length, whole, ref builder);
                continue;
            }
            for (int end = at + length, part; at < end; at += part)
            {
                Rune rune = CodePoints.RuneAt(units, at, out part);
                if (Find(utf8[..rune.EncodeToUtf8(utf8)]) is { } other)
                    Write(text, at, part, other, ref builder);
                else
                    builder?.Append(text, at, part);
            }
            length = 0;
        }
        return builder is null ? text : builder.Build();
    }

    private static void Write(in AlignedText text, int at, int length, string other, ref AlignedTextBuilder? builder)
    {
        if (builder is null)
        {
            builder = new AlignedTextBuilder(text.Length + 16);
            builder.Append(text, 0, at);
        }
        builder.Append(other, text.RangeOf(at, at + length));
    }

    /// <summary>The text for the shortest key that the bytes begin with; null when there is none.</summary>
    private string? Find(ReadOnlySpan<byte> key)
    {
        uint at = Offset(_trie[0]);
        foreach (byte label in key)
        {
            if (label == 0)
                return null;
            at ^= label;
            if (at >= _trie.Length || (_trie[at] & 0x800000FF) != label)
                return null;
            bool leaf = (_trie[at] >> 8 & 1) != 0;
            at ^= Offset(_trie[at]);
            if (!leaf)
                continue;
            if (at >= _trie.Length || (_trie[at] & 0x7FFFFFFF) is var start && start > _texts.Length)
                return null;
            ReadOnlySpan<byte> text = _texts.AsSpan((int)(_trie[at] & 0x7FFFFFFF));
            int end = text.IndexOf((byte)0);
            return Encoding.UTF8.GetString(end < 0 ? text : text[..end]);
        }
        return null;
    }

    private static uint Offset(uint unit) => (unit >> 10) << (int)((unit & (1u << 9)) >> 6);
}
