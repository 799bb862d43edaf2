using System.Globalization;
using System.Numerics;
using System.Text.Json;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>JSON as template values. A number with a point or an exponent is a float, any other an integer.</summary>
internal static class JsonValues
{
    private const int MaxDepth = 200;

    public static object? From(JsonElement element, int depth = 0)
    {
        if (depth > MaxDepth)
        {
            throw new ChatTemplateException("RecursionError", $"The input nests more than {MaxDepth} levels.");
        }

        switch (element.ValueKind)
        {
            case JsonValueKind.Null or JsonValueKind.Undefined:
                return null;
            case JsonValueKind.True:
                return true;
            case JsonValueKind.False:
                return false;
            case JsonValueKind.String:
                return TextOf(element);
            case JsonValueKind.Number:
                return Number(element);
            case JsonValueKind.Array:
                var items = new List<object?>(element.GetArrayLength());
                foreach (var item in element.EnumerateArray())
                {
                    items.Add(From(item, depth + 1));
                }

                return new PyList(items);
            default:
                var dict = new PyDict();
                foreach (var property in element.EnumerateObject())
                {
                    dict.Set(NameOf(property), From(property.Value, depth + 1));
                }

                return dict;
        }
    }

    private static string TextOf(JsonElement element)
    {
        try
        {
            return element.GetString()!;
        }
        catch (InvalidOperationException)
        {
            throw LoneSurrogate();
        }
    }

    private static string NameOf(JsonProperty property)
    {
        try
        {
            return property.Name;
        }
        catch (InvalidOperationException)
        {
            throw LoneSurrogate();
        }
    }

    private static ChatTemplateException LoneSurrogate() =>
        new("UnicodeEncodeError", "The input holds a text with half of a surrogate pair, which is no character: remove or complete it.");

    private static object Number(JsonElement element)
    {
        // 1.0 reads as an integer too: the text decides.
        var text = element.GetRawText();
        var isFloat = text.AsSpan().ContainsAny(".eE");
        if (!isFloat && element.TryGetInt64(out var small))
        {
            return small;
        }

        if (isFloat)
        {
            return double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture);
        }

        return text.Length > Integers.MaxDigits
            ? throw Errors.Value($"Exceeds the limit ({Integers.MaxDigits} digits) for integer string conversion")
            : Integers.Normalize(BigInteger.Parse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture));
    }
}
