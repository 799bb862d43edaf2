namespace Hone.Formats.TrainingData;

/// <summary>Marks of an earlier wrong decoding in a row's texts.</summary>
internal sealed class TextSuspicions(RowScope scope)
{
    public void Check(ReadOnlySpan<byte> text)
    {
        if (text.IndexOf("\uFFFD"u8) >= 0)
            scope.Warn(null, null, "replacement_character", "the text holds U+FFFD, the mark of bytes that could not be decoded earlier.", "Read the source again in its own encoding.");
        if (Mojibake(text))
            scope.Warn(null, null, "wrongly_decoded", "the text looks like UTF-8 that was once read as Latin-1 or Windows-1252 (such as Ã© for é).", "Read the source again as UTF-8.");
    }

    /// <summary>Ã or Â before a character of U+0080–U+00BF, or â€: what UTF-8's two- and three-byte characters become.</summary>
    private static bool Mojibake(ReadOnlySpan<byte> text)
    {
        if (text.IndexOf("â€"u8) >= 0)
            return true;
        for (int i = text.IndexOf((byte)0xC3); i >= 0 && i + 3 < text.Length;)
        {
            if (text[i + 1] is 0x83 && text[i + 2] == 0xC2)
                return true;
            int next = text[(i + 1)..].IndexOf((byte)0xC3);
            i = next < 0 ? -1 : i + 1 + next;
        }
        return false;
    }
}
