using System.Globalization;

namespace Hone.Formats.Tokenizers;

/// <summary>What the normalization forms of Unicode 9.0 need to know of each code point; eng/unicode-normalization.py makes the tables.</summary>
internal sealed class UnicodeTables
{
    private const int SyllableBase = 0xAC00, LeadBase = 0x1100, VowelBase = 0x1161, TailBase = 0x11A7;
    private const int Leads = 19, Vowels = 21, Tails = 28, Syllables = Leads * Vowels * Tails;

    private static readonly Lazy<UnicodeTables> s_shared = new(() => new UnicodeTables());

    private readonly Dictionary<int, byte> _classes = [];
    private readonly Dictionary<int, (bool Compatible, int[] Parts)> _decompositions = [];
    private readonly Dictionary<long, int> _compositions = [];

    private UnicodeTables()
    {
        using var reader = new StreamReader(typeof(UnicodeTables).Assembly.GetManifestResourceStream("unicode-9.0.txt")!);
        while (reader.ReadLine() is { } line)
        {
            if (line[0] == '#')
                continue;
            int sign = line.AsSpan().IndexOfAny(":=~");
            if (line[sign] == ':')
                AddClass(line, sign);
            else
                AddDecomposition(line, sign);
        }
    }

    public static UnicodeTables Shared => s_shared.Value;

    /// <summary>The canonical combining class; 0 for a starter.</summary>
    public int ClassOf(int codePoint) => codePoint < 0x300 ? 0 : _classes.GetValueOrDefault(codePoint);

    /// <summary>Appends the full decomposition.</summary>
    public void Decompose(int codePoint, bool compatible, List<int> output)
    {
        if (codePoint is >= SyllableBase and < SyllableBase + Syllables)
        {
            int syllable = codePoint - SyllableBase;
            output.Add(LeadBase + (syllable / (Vowels * Tails)));
            output.Add(VowelBase + (syllable % (Vowels * Tails) / Tails));
            if (syllable % Tails != 0)
                output.Add(TailBase + (syllable % Tails));
        }
        else if (codePoint >= 0xA0 && _decompositions.TryGetValue(codePoint, out (bool Compatible, int[] Parts) found) && (compatible || !found.Compatible))
        {
            foreach (int part in found.Parts)
                Decompose(part, compatible, output);
        }
        else
            output.Add(codePoint);
    }

    /// <summary>What two code points compose to; -1 for nothing.</summary>
    public int Compose(int first, int second)
    {
        if (first is >= LeadBase and < LeadBase + Leads && second is >= VowelBase and < VowelBase + Vowels)
            return SyllableBase + ((((first - LeadBase) * Vowels) + (second - VowelBase)) * Tails);
        if (first is >= SyllableBase and < SyllableBase + Syllables && (first - SyllableBase) % Tails == 0 && second is > TailBase and < TailBase + Tails)
            return first + (second - TailBase);
        return _compositions.TryGetValue(((long)first << 32) | (uint)second, out int composed) ? composed : -1;
    }

    private void AddClass(string line, int sign)
    {
        int hyphen = line.IndexOf('-');
        for (int c = Hex(line.AsSpan(0, hyphen)); c <= Hex(line.AsSpan(hyphen + 1, sign - hyphen - 1)); c++)
            _classes[c] = byte.Parse(line.AsSpan(sign + 1), CultureInfo.InvariantCulture);
    }

    private void AddDecomposition(string line, int sign)
    {
        int codePoint = Hex(line.AsSpan(0, sign));
        bool composes = line[sign + 1] == '+';
        int[] parts = [.. line[(sign + (composes ? 2 : 1))..].Split(' ').Select(part => Hex(part))];
        _decompositions[codePoint] = (line[sign] == '~', parts);
        if (composes)
            _compositions[((long)parts[0] << 32) | (uint)parts[1]] = codePoint;
    }

    private static int Hex(ReadOnlySpan<char> text) => int.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
}
