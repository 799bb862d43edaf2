using System.Buffers.Text;

namespace Hone.Formats.Tokenizers;

/// <summary>Reads <c>normalizer</c>.</summary>
internal static class NormalizerReader
{
    public static Normalizer Read(JsonFields fields)
    {
        string type = fields.Text("type");
        Normalizer normalizer = type switch
        {
            "Sequence" => new SequenceNormalizer([.. fields.Objects("normalizers").Select(Read)]),
            "NFC" => new UnicodeNormalizer(UnicodeForm.Composed),
            "NFD" => new UnicodeNormalizer(UnicodeForm.Decomposed),
            "NFKC" => new UnicodeNormalizer(UnicodeForm.CompatiblyComposed),
            "NFKD" => new UnicodeNormalizer(UnicodeForm.CompatiblyDecomposed),
            "Lowercase" => new CodePointNormalizer(CodePointNormalizer.Lowercase),
            "Nmt" => new CodePointNormalizer(CodePointNormalizer.Nmt),
            "StripAccents" => new CodePointNormalizer(CodePointNormalizer.StripAccents),
            "Strip" => new StripNormalizer(fields.Flag("strip_left"), fields.Flag("strip_right")),
            "Prepend" => new PrependNormalizer(fields.Text("prepend")),
            "Replace" => new ReplaceNormalizer(PatternReader.Read(fields, "pattern"), fields.Text("content")),
            "Precompiled" => Precompiled(fields),
            "ByteLevel" => new ByteAlphabetNormalizer(),
            _ => throw fields.Error("type", $"is {JsonFields.Quote(type)}. Supported are Sequence, NFC, NFD, NFKC, NFKD, Lowercase, Nmt, StripAccents, Strip, Prepend, Replace, Precompiled and ByteLevel."),
        };
        fields.Done();
        return normalizer;
    }

    private static PrecompiledNormalizer Precompiled(JsonFields fields)
    {
        string text = fields.OptionalText("precompiled_charsmap") ?? "";
        byte[] bytes = new byte[Base64.GetMaxDecodedFromUtf8Length(text.Length)];
        if (!Convert.TryFromBase64String(text, bytes, out int length))
            throw fields.Error("precompiled_charsmap", "is no Base64.");
        return PrecompiledNormalizer.Parse(bytes.AsSpan(0, length))
            ?? throw fields.Error("precompiled_charsmap", $"of {length} bytes is no charsmap of SentencePiece: its size, its trie and its texts do not fit together.");
    }
}
