using System.Text.Json;
using Hone.Formats;

namespace Hone.Server.Requests;

/// <summary>Takes typed fields out of a body and gathers everything that is wrong with them. Fields nobody asks for are ignored; null counts as absent.</summary>
internal sealed class BodyFields(JsonElement body)
{
    /// <summary>One mistake made 2,000 times is not told 2,000 times.</summary>
    private const int MaxErrors = 20;

    /// <summary>Where the object lies within the body, for messages: empty, or such as <c>messages[0].</c>.</summary>
    public string Prefix { get; private init; } = "";

    private string? Root { get; init; }

    /// <summary>Field and what is wrong with it.</summary>
    public List<(string Field, string Error)> Errors { get; private init; } = [];

    /// <summary>The fields of an object within this one. What is wrong with them is this body's error, under the outermost field's name.</summary>
    public BodyFields Within(JsonElement inner, string prefix) => new(inner) { Errors = Errors, Prefix = prefix, Root = Root ?? prefix[..prefix.AsSpan().IndexOfAny('.', '[')] };

    public bool Has(string name) => Find(name) is not null;

    public JsonElement? Find(string name) =>
        body.TryGetProperty(name, out var value) && value.ValueKind is not JsonValueKind.Null ? value : null;

    /// <summary>What else is wrong is not told: a list need not be looked at to its end.</summary>
    public bool IsFull => Errors.Count >= MaxErrors;

    /// <summary>A mistake that is found again, by a rule that reads a field too, is told once.</summary>
    public void Fail(string field, string error)
    {
        if (!IsFull && !Errors.Contains((Root ?? field, error)))
            Errors.Add((Root ?? field, error));
    }

    public string? Text(string name)
    {
        if (Find(name) is not { } value)
            return null;
        return value.ValueKind is JsonValueKind.String ? value.GetString() : Wrong<string>(name, value, "a string");
    }

    /// <param name="orText">Takes the strings <c>"true"</c> and <c>"false"</c> as well.</param>
    public bool? Flag(string name, bool orText = false) => Find(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        { ValueKind: JsonValueKind.String } value when orText && value.ValueEquals("true"u8) => true,
        { ValueKind: JsonValueKind.String } value when orText && value.ValueEquals("false"u8) => false,
        { } value => Wrong<bool?>(name, value, "true or false"),
    };

    public double? Number(string name, double minimum, double maximum)
    {
        if (Find(name) is not { } value)
            return null;
        if (value.ValueKind is not JsonValueKind.Number || !value.TryGetDouble(out double number))
            return Wrong<double?>(name, value, "a number");
        if (!(number >= minimum && number <= maximum))
            Fail(name, $"'{Prefix}{name}' is {value.GetRawText().Shown(60)}, it must lie between {minimum} and {maximum}");
        return number;
    }

    public long? Integer(string name, long minimum, long maximum)
    {
        if (Find(name) is not { } value)
            return null;
        // 256.0 is an integer to JSON Schema. Written otherwise than in plain digits, one beyond 2^53 may be another than was meant.
        if (value.ValueKind is not JsonValueKind.Number || !value.TryGetDouble(out double number) || number != Math.Floor(number))
            return Wrong<long?>(name, value, "an integer");
        bool isExact = value.TryGetInt64(out long integer);
        if (!isExact && Math.Abs(number) <= 1L << 53)
            (isExact, integer) = (true, (long)number);
        if (isExact && integer >= minimum && integer <= maximum)
            return integer;
        Fail(name, $"'{Prefix}{name}' is {value.GetRawText().Shown(60)}, it must lie between {minimum} and {maximum}");
        return null;
    }

    private T? Wrong<T>(string name, JsonElement value, string expected)
    {
        string raw = value.ValueKind is JsonValueKind.Object or JsonValueKind.Array ? "" : $" ({value.GetRawText().Shown(60)})";
        Fail(name, $"'{Prefix}{name}' is {JsonBody.Name(value.ValueKind)}{raw}, it must be {expected}");
        return default;
    }
}
