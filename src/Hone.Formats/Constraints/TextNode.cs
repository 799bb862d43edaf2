namespace Hone.Formats.Constraints;

/// <summary>How far a JSON string is written.</summary>
internal enum TextStage : byte
{
    /// <summary>Between two characters.</summary>
    Between,

    /// <summary>Within the bytes of a character.</summary>
    Bytes,

    /// <summary>Behind a backslash.</summary>
    Escape,

    /// <summary>Within the four digits of an escape.</summary>
    Digits,

    /// <summary>Behind the first half of a surrogate pair; behind the backslash of the second; within its digits.</summary>
    SecondHalf,
    SecondHalfEscape,
    SecondHalfDigits,
}

/// <param name="Automaton">Of the string's characters.</param>
/// <param name="State">The automaton's state after the last complete character; with <paramref name="IsCertain"/> after the one under way.</param>
/// <param name="Least">Characters that must still come.</param>
/// <param name="Most">Characters that may still come; −1: any number.</param>
/// <param name="IsPlain">Escaped only what must be: one spelling a text, for names.</param>
/// <param name="Stage">See <see cref="TextStage"/>.</param>
/// <param name="Left">Bytes or digits that the character under way lacks.</param>
/// <param name="Low">The character under way is one from here (of digits: the code unit),</param>
/// <param name="High">to here.</param>
/// <param name="IsCertain">Whichever it becomes, the same state follows.</param>
internal readonly record struct TextPlace(
    TextAutomaton Automaton, int State, int Least, int Most, bool IsPlain = false, TextStage Stage = TextStage.Between, int Left = 0, int Low = 0, int High = 0, bool IsCertain = false)
{
    /// <summary>Whether one of the characters may be the next.</summary>
    public bool Leads(int low, int high) => Automaton.Leads(State, low, high, Most);
}

/// <summary>
/// A JSON string behind its opening quote, the closing one included. Its bytes are UTF-8, its characters may be escaped, and half a surrogate pair cannot be written.
/// </summary>
internal sealed class TextNode(int id, TextPlace place) : Node(id)
{
    private const string Escaped = "\"\\/bfnrt", Meant = "\"\\/\b\f\n\r\t";

    public TextPlace Place => place;
    public override bool CanEnd => false;

    protected override Node Derive(byte symbol, NodeTable table) => place.Stage switch
    {
        TextStage.Between => Between(symbol, table),
        TextStage.Bytes => symbol is >= 0x80 and <= 0xBF ? Narrow(symbol & 63, 64, table) : table.Nothing,
        TextStage.Escape => Escape(symbol, table),
        TextStage.Digits or TextStage.SecondHalfDigits => Digit(symbol) is { } digit ? Narrow(digit, 16, table) : table.Nothing,
        TextStage.SecondHalf => symbol == '\\' ? table.Text(place with { Stage = TextStage.SecondHalfEscape }) : table.Nothing,
        _ => symbol == 'u' ? table.Text(place with { Stage = TextStage.SecondHalfDigits, Left = 4 }) : table.Nothing,
    };

    private Node Between(byte symbol, NodeTable table)
    {
        if (symbol == '"')
            return place.Least == 0 && place.Automaton.IsEnd(place.State) ? table.End : table.Nothing;
        if (place.Most == 0)
            return table.Nothing;
        switch (symbol)
        {
            case (byte)'\\':
                return CanEscape() ? table.Text(place with { Stage = TextStage.Escape }) : table.Nothing;
            case < 0x20 or (>= 0x80 and < 0xC2) or > 0xF4:
                return table.Nothing;
            case < 0x80:
                return Whole(symbol, table);
            case < 0xE0:
                return Begin(TextStage.Bytes, 1, (symbol & 31) << 6, 64, table);
            case < 0xF0:
                return Begin(TextStage.Bytes, 2, (symbol & 15) << 12, 64 * 64, table);
            default:
                return Begin(TextStage.Bytes, 3, (symbol & 7) << 18, 64 * 64 * 64, table);
        }
    }

    private bool CanEscape() => place.IsPlain ? Meant.Any(c => c != '/' && place.Leads(c, c)) : place.Leads(0, CharacterSet.Last);

    private Node Escape(byte symbol, NodeTable table)
    {
        if (symbol == 'u')
            return place.IsPlain ? table.Nothing : Begin(TextStage.Digits, 4, 0, 0x10000, table);
        int at = Escaped.IndexOf((char)symbol, StringComparison.Ordinal);
        return at < 0 || (place.IsPlain && symbol == '/') ? table.Nothing : Whole(Meant[at], table);
    }

    private Node Whole(int character, NodeTable table) => place.Leads(character, character) ? table.Text(After(place.Automaton.Next(place.State, character))) : table.Nothing;

    /// <summary>The place behind one more character.</summary>
    private TextPlace After(int state) =>
        new(place.Automaton, state, Math.Max(0, place.Least - 1), place.Most < 0 ? -1 : place.Most - 1, place.IsPlain);

    private Node Begin(TextStage stage, int left, int low, int count, NodeTable table)
    {
        int high = low + count - 1;
        if (stage == TextStage.Bytes)
        {
            // The shortest spelling alone, and nothing beyond Unicode.
            low = Math.Max(low, left switch { 1 => 0x80, 2 => 0x800, _ => 0x10000 });
            high = Math.Min(high, CharacterSet.Last);
        }
        return Reach(place with { Stage = stage, Left = left, Low = low, High = high }, table);
    }

    /// <summary>One more byte or digit of the character under way.</summary>
    private Node Narrow(int digit, int radix, NodeTable table)
    {
        if (place.IsCertain)
            return place.Left == 1 ? table.Text(place with { Stage = TextStage.Between, Left = 0, Low = 0, High = 0, IsCertain = false }) : table.Text(place with { Left = place.Left - 1 });
        int block = 1;
        for (int i = 1; i < place.Left; i++)
            block *= radix;
        // Of the second half's digits the first two are d and c to f; they count within the pair's 1,024 characters.
        if (place.Stage == TextStage.SecondHalfDigits)
            return SecondHalf(digit, block, table);
        int start = place.Low / (block * radix) * (block * radix) + digit * block;
        (int low, int high) = (Math.Max(start, place.Low), Math.Min(start + block - 1, place.High));
        return low > high ? table.Nothing : Reach(place with { Left = place.Left - 1, Low = low, High = high }, table);
    }

    /// <summary>The place, if a character is left that can be written there.</summary>
    private Node Reach(TextPlace next, NodeTable table)
    {
        (int low, int high) = (next.Low, next.High);
        if (next.Left == 0 && next.Stage == TextStage.Digits && low is >= 0xD800 and <= 0xDBFF)
        {
            int first = 0x10000 + ((low - 0xD800) << 10);
            return Pair(next with { Stage = TextStage.SecondHalf, Low = first, High = first + 1023 }, table);
        }
        if (next.Left == 0)
            return Whole(low, table);
        bool leads = next.Leads(low, high);
        if (!leads && next.Stage == TextStage.Digits && low <= 0xDBFF && high >= 0xD800)
            leads = next.Leads(0x10000 + ((Math.Max(low, 0xD800) - 0xD800) << 10), 0x10000 + ((Math.Min(high, 0xDBFF) - 0xD800) << 10) + 1023);
        if (!leads)
            return table.Nothing;
        int radix = next.Stage == TextStage.Bytes ? 6 : 4;
        bool isWhole = high - low + 1 == 1 << (radix * next.Left);
        return isWhole && next.Automaton.Common(next.State, low, high) is >= 0 and var target ? table.Text(Certain(next, target)) : table.Text(next);
    }

    private TextPlace Certain(TextPlace next, int target) => After(target) with { Stage = next.Stage, Left = next.Left, IsCertain = true };

    private static Node Pair(TextPlace next, NodeTable table) => next.Leads(next.Low, next.High) ? table.Text(next) : table.Nothing;

    private Node SecondHalf(int digit, int block, NodeTable table)
    {
        // 4 digits left: d; 3: c to f, which are the upper two of ten bits; 2 and 1: the other eight.
        switch (place.Left)
        {
            case 4:
                return digit == 0xD ? table.Text(place with { Left = 3 }) : table.Nothing;
            case 3:
                return digit < 0xC ? table.Nothing : Pair(place with { Left = 2, Low = place.Low + (digit - 0xC) * block, High = place.Low + (digit - 0xC) * block + block - 1 }, table);
            default:
                int low = place.Low + digit * block;
                return place.Left == 1 ? Whole(low, table) : Pair(place with { Left = place.Left - 1, Low = low, High = low + block - 1 }, table);
        }
    }

    private static int? Digit(byte symbol) => char.IsAsciiHexDigit((char)symbol) ? Convert.ToInt32(((char)symbol).ToString(), 16) : null;
}
