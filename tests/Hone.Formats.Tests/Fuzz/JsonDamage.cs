using System.Text;
using System.Text.Json;

namespace Hone.Formats.Tests.Fuzz;

/// <summary>Damage to a JSON text that mostly leaves it JSON: values of other kinds, of extreme size or depth, exchanged, doubled, removed, renamed.</summary>
internal static class JsonDamage
{
    private static readonly string[] s_values =
    [
        "null", "true", "false", "0", "-1", "1", "-0", "0.5", "1e3", "2147483647", "2147483648", "-2147483649", "4294967296", "9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
        "18446744073709551616", "1e308", "1e999", "-1e-999", "\"\"", "\" \"", "\"0\"", "\"\\u0000\"", "\"\\ud83d\"", "\"\\ufffd\"", "\"a\\nb\"", "\"▁\"", "\"<s>\"", "[]", "{}", "[null]", "[[]]", "{\"\":{}}",
        "{\"type\":\"Sequence\"}", "{\"String\":\"\"}", "{\"Regex\":\"(a|a)*b\"}", "{\"Regex\":\"(?=\"}", "{\"Regex\":\"(((((x{0,99}){0,99}){0,99}){0,99}){0,99})\"}", "{\"Regex\":\"(\\\\s+)+$\"}",
    ];

    /// <param name="At">Where the member's name, or else the value, begins.</param>
    private readonly record struct Place(int At, int Start, int End, bool Member);

    public static byte[] Damage(byte[] good, Random random)
    {
        byte[] json = good;
        for (int count = random.Next(1, 1 + random.Next(1, 4)); count > 0; count--)
        {
            List<Place> places;
            try
            {
                places = Places(json);
            }
            catch (Exception e) when (e is JsonException or InvalidOperationException)
            {
                return json; // broken already
            }
            Place one = places[random.Next(places.Count)], other = places[random.Next(places.Count)];
            json = random.Next(12) switch
            {
                0 or 1 or 2 or 3 => Replace(json, one, Bytes(s_values[random.Next(s_values.Length)])),
                4 => Replace(json, one, Deep(random)),
                5 => Replace(json, one, Bytes('"' + new string("aé▁ <0x"[random.Next(7)], random.Next(1, 5_000)) + '"')),
                6 => Exchange(json, one, other),
                7 => Replace(json, one, json[other.Start..other.End]),
                8 => Insert(json, one, [.. json[one.At..one.End], (byte)',']), // a member twice, an element twice
                9 => Insert(json, one, one.Member ? [.. Bytes($"\"extra{random.Next(9)}\":"), .. json[other.Start..other.End], (byte)','] : [.. json[other.Start..other.End], (byte)',']),
                10 => Remove(json, one),
                _ => one.Member ? [.. json[..one.At], .. Bytes($"\"{"abtv"[random.Next(4)]}\":"), .. json[one.Start..]] : ByteDamage.Damage(json, json.Length, random),
            };
        }
        return json;
    }

    private static byte[] Deep(Random random)
    {
        int depth = random.Next(4) == 0 ? 20_000 : random.Next(1, 100);
        (string open, string close) = random.Next(2) == 0 ? ("[", "]") : ("{\"type\":\"Sequence\",\"normalizers\":[", "]}");
        return Bytes(string.Concat(Enumerable.Repeat(open, depth)) + (random.Next(2) == 0 ? string.Concat(Enumerable.Repeat(close, depth)) : ""));
    }

    private static List<Place> Places(byte[] json)
    {
        var places = new List<Place>();
        var open = new Stack<(int At, int Start, bool Member)>();
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 1_000 });
        int name = -1;
        while (reader.Read())
        {
            int start = (int)reader.TokenStartIndex, end = (int)reader.BytesConsumed;
            switch (reader.TokenType)
            {
                case JsonTokenType.PropertyName:
                    name = start;
                    continue;
                case JsonTokenType.StartObject or JsonTokenType.StartArray:
                    open.Push((name < 0 ? start : name, start, name >= 0));
                    break;
                case JsonTokenType.EndObject or JsonTokenType.EndArray:
                    (int at, int from, bool member) = open.Pop();
                    places.Add(new Place(at, from, end, member));
                    break;
                default:
                    places.Add(new Place(name < 0 ? start : name, start, end, name >= 0));
                    break;
            }
            name = -1;
        }
        return places;
    }

    private static byte[] Replace(byte[] json, Place place, byte[] with) => [.. json[..place.Start], .. with, .. json[place.End..]];

    private static byte[] Insert(byte[] json, Place place, byte[] with) => [.. json[..place.At], .. with, .. json[place.At..]];

    private static byte[] Exchange(byte[] json, Place one, Place other)
    {
        (Place first, Place second) = one.Start <= other.Start ? (one, other) : (other, one);
        return first.End > second.Start
            ? json // one within the other
            : [.. json[..first.Start], .. json[second.Start..second.End], .. json[first.End..second.Start], .. json[first.Start..first.End], .. json[second.End..]];
    }

    /// <summary>With the comma behind it, or else before it.</summary>
    private static byte[] Remove(byte[] json, Place place)
    {
        (int start, int end) = (place.At, place.End);
        while (end < json.Length && json[end] is (byte)' ' or (byte)'\n')
            end++;
        if (end < json.Length && json[end] == (byte)',')
            return [.. json[..start], .. json[(end + 1)..]];
        while (start > 0 && json[start - 1] is (byte)' ' or (byte)'\n')
            start--;
        return start > 0 && json[start - 1] == (byte)',' ? [.. json[..(start - 1)], .. json[place.End..]] : [.. json[..place.At], .. json[place.End..]];
    }

    private static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);
}
