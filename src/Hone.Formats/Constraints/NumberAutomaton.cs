using System.Globalization;

namespace Hone.Formats.Constraints;

/// <summary>
/// Numbers within limits, digit by digit. They are written without exponent and without needless zeros before them, with at most 15 digits before the point (or one more
/// than a limit has), 10 behind it, and none that would be the sixteenth: readers with doubles tell all of them apart.
/// </summary>
internal sealed class NumberAutomaton
{
    private const int Digits = 15;
    private const int Decimals = 10;

    private readonly bool _integersOnly;
    private readonly int _wholeDigits;
    private readonly Dictionary<Place, int> _ids = [];
    private readonly List<Place> _places = [];

    // Of the numbers without a sign and of those behind one, their sign left out; null where there are none.
    private readonly (Limit Low, Limit High)? _positive, _negative;

    private NumberAutomaton(bool integersOnly, Bound? minimum, Bound? maximum)
    {
        (Bound? least, Bound? most) = (ForDoubles(minimum, double.BitIncrement), ForDoubles(maximum, double.BitDecrement));
        _integersOnly = integersOnly;
        _wholeDigits = Math.Max(Digits, 1 + Math.Max(Limit.Of(least)?.Whole.Length ?? 0, Limit.Of(most)?.Whole.Length ?? 0));
        (Limit zero, Limit beyond) = (new Limit("0", "", false), new Limit("1" + new string('0', _wholeDigits), "", true));
        if (most is null or { Value: >= 0 })
            _positive = (least is { Value: >= 0 } ? Limit.Of(least)!.Value : zero, Limit.Of(most) ?? beyond);
        if (least is null or { Value: < 0 })
            _negative = (most is { Value: <= 0 } ? Limit.Of(most)!.Value : zero, Limit.Of(least) ?? beyond);
    }

    /// <summary>A limit without its sign.</summary>
    private readonly record struct Limit(string Whole, string Part, bool Exclusive)
    {
        public static Limit? Of(Bound? bound)
        {
            if (bound is not { } b)
                return null;
            string[] digits = Math.Abs(b.Value).ToString(CultureInfo.InvariantCulture).Split('.');
            return new Limit(digits[0], digits.Length > 1 ? digits[1].TrimEnd('0') : "", b.Exclusive);
        }
    }

    /// <param name="IsNegative">A sign is written.</param>
    /// <param name="IsBehindPoint">The point is written.</param>
    /// <param name="Count">Digits before the point, or behind it where it is written.</param>
    /// <param name="Room">Digits that may still come on this side of the point.</param>
    /// <param name="Low">How the digits compare with as many of the lower limit,</param>
    /// <param name="High">and of the upper one.</param>
    private readonly record struct Place(bool IsNegative, bool IsBehindPoint, int Count, int Room, int Low, int High);

    public static TextAutomaton Of(bool integersOnly, Bound? minimum, Bound? maximum) => new NumberAutomaton(integersOnly, minimum, maximum).Walk();

    /// <summary>An exclusive limit of so many digits that a number beside it may be read as the limit itself becomes the next double, which is inclusive.</summary>
    private static Bound? ForDoubles(Bound? bound, Func<double, double> next) =>
        bound is not { Exclusive: true, Value: var value } || (Math.Abs(value) < 1e15m && (decimal)(double)value == value) ? bound // the cast rounds to 15 digits
        : new Bound(decimal.Parse(next((double)value).ToString("R", CultureInfo.InvariantCulture), NumberStyles.Float, CultureInfo.InvariantCulture), Exclusive: false);

    private TextAutomaton Walk()
    {
        IdOf(new Place(IsNegative: false, IsBehindPoint: false, 0, _wholeDigits, 0, 0));
        var edges = new List<Edge[]>();
        for (int i = 0; i < _places.Count; i++)
            edges.Add([.. "-.0123456789".Select(c => (Symbol: c, Next: Step(_places[i], c))).Where(s => s.Next is not null).Select(s => new Edge(s.Symbol, s.Symbol, IdOf(s.Next!.Value)))]);
        return TextAutomaton.Trimmed([.. edges], [.. _places.Select(IsEnd)]);
    }

    private int IdOf(Place place)
    {
        if (!_ids.TryGetValue(place, out int id))
        {
            _ids.Add(place, id = _places.Count);
            _places.Add(place);
        }
        return id;
    }

    private Place? Step(Place place, char symbol)
    {
        if (symbol == '-')
            return place is { Count: 0, IsNegative: false, IsBehindPoint: false } ? place with { IsNegative = true } : null;
        if ((place.IsNegative ? _negative : _positive) is not var (low, high))
            return null;
        if (symbol == '.')
        {
            int room = Math.Min(Decimals, Digits - place.Count);
            if (_integersOnly || place.IsBehindPoint || place.Count == 0 || room <= 0)
                return null;
            Place behind = new(place.IsNegative, IsBehindPoint: true, 0, room, Whole(place, place.Low, low), Whole(place, place.High, high));
            return behind is { Low: >= 0, High: <= 0 } ? behind : null;
        }
        if (place.Room == 0 || (_integersOnly && place is { IsNegative: true, Count: 0 } && symbol == '0'))
            return null;
        bool isZero = !place.IsBehindPoint && place.Count == 0 && symbol == '0';
        (int l, int h) = (Compare(place, place.Low, low, symbol), Compare(place, place.High, high, symbol));
        // Behind the point, where both limits are past, only the room counts.
        return place with { Count = place.IsBehindPoint && l != 0 && h != 0 ? 1 : place.Count + 1, Room = isZero ? 0 : place.Room - 1, Low = l, High = h };
    }

    private static int Compare(Place place, int before, Limit limit, char digit)
    {
        string digits = place.IsBehindPoint ? limit.Part : limit.Whole;
        return before != 0 ? before : Math.Sign(digit - (place.Count < digits.Length ? digits[place.Count] : '0'));
    }

    /// <summary>How all that stands before the point compares with the same of a limit.</summary>
    private static int Whole(Place place, int digits, Limit limit) => place.Count == limit.Whole.Length ? digits : Math.Sign(place.Count - limit.Whole.Length);

    private bool IsEnd(Place place)
    {
        if (place.Count == 0 || (place.IsNegative ? _negative : _positive) is not var (low, high))
            return false;
        (int l, int h) = (All(place, place.Low, low), All(place, place.High, high));
        return (l > 0 || (l == 0 && !low.Exclusive)) && (h < 0 || (h == 0 && !high.Exclusive));
    }

    private static int All(Place place, int digits, Limit limit)
    {
        int whole = place.IsBehindPoint ? digits : Whole(place, digits, limit);
        return whole == 0 && (place.IsBehindPoint ? place.Count : 0) < limit.Part.Length ? -1 : whole;
    }
}
