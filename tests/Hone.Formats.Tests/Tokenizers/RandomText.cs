using System.Text;

namespace Hone.Formats.Tests.Tokenizers;

/// <summary>Valid text of many scripts, spaces, digits, emoji, contractions and special tokens, without bytes that SmolLM2's vocabulary lacks.</summary>
internal static class RandomText
{
    private static readonly (int First, int Last)[] Ranges =
    [
        (0x20, 0x7E), (0x61, 0x7A), (0x20, 0x20), (0x09, 0x0D), (0x30, 0x39), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x4FF), (0x5D0, 0x652), (0x904, 0x94D),
        (0xE01, 0xE3A), (0x1100, 0x11FF), (0x1680, 0x1680), (0x2000, 0x206F), (0x2100, 0x218B), (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3),
        (0xE000, 0xFFFF), (0x10000, 0x10FFF), (0x1D400, 0x1D7FF), (0x1F300, 0x1FAFF), (0x20000, 0x3FFFF),
    ];

    private static readonly string[] Pieces = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_", "'s", "'ll", "'re", " the", "\r\n", "  ", "\n\n", "👨‍👩‍👧", "e\u0301"];

    public static string Make(Random random)
    {
        var text = new StringBuilder();
        (int First, int Last)[] ranges = [.. Enumerable.Range(0, 3).Select(_ => Ranges[random.Next(Ranges.Length)])];
        int count = random.Next(60);
        for (int i = 0; i < count; i++)
        {
            (int first, int last) = ranges[random.Next(ranges.Length)];
            int value = random.Next(first, last + 1);
            if (random.Next(12) == 0)
                text.Append(Pieces[random.Next(Pieces.Length)]);
            else if (Rune.IsValid(value))
                text.Append(new Rune(value));
        }
        return text.ToString();
    }
}
