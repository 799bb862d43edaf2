using System.Text;

namespace Hone.Formats.TrainingData;

/// <summary>Lines and texts that hold nothing but white space, of whatever script.</summary>
internal static class Blank
{
    public static bool Is(ReadOnlySpan<byte> utf8)
    {
        while (!utf8.IsEmpty)
        {
            if (utf8[0] is > (byte)' ' and < 0x80 and not 0x7F)
                return false;
            if (Rune.DecodeFromUtf8(utf8, out var rune, out int length) != System.Buffers.OperationStatus.Done)
                return false;
            // U+200B and U+FEFF have no width and no meaning on their own, but are not white space to Unicode.
            if (!Rune.IsWhiteSpace(rune) && rune.Value is not (0x200B or 0xFEFF or 0x2060))
                return false;
            utf8 = utf8[length..];
        }
        return true;
    }
}
