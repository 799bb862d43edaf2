using System.Text.Json;

namespace Hone.Server.Requests;

/// <summary>Takes typed fields out of a body and gathers everything that is wrong with them. Fields nobody asks for are ignored; null counts as absent.</summary>
internal sealed class BodyFields(JsonElement body)
{
    /// <summary>Lists stop being checked once that many errors are found.</summary>
    public const int MaxErrors = 20;

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

    public void Fail(string field, string error) => Errors.Add((Root ?? field, error));

    public string? Text(string name)
    {
        if (Find(name) is not { } value)
            return null;
        if (value.ValueKind is not JsonValueKind.String)
            return Wrong<string>(name, value, "a string");
        try
        {
            return value.GetString();
        }
        catch (InvalidOperationException)
        {
            Fail(name, $"'{Prefix}{name}' holds half of a surrogate pair, which is no text");
            return null;
        }
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
        if (value.ValueKind is not JsonValueKind.Number || !value.TryGetDouble(out double number) || !double.IsFinite(number))
            return Wrong<double?>(name, value, "a number");
        if (number < minimum || number > maximum)
            Fail(name, $"'{Prefix}{name}' is {value.GetRawText().Shown(60)}, it must lie between {minimum} and {maximum}");
        return number;
    }

    public long? Integer(string name, long minimum, long maximum)
    {
        if (Find(name) is not { } value)
            return null;
        // 256.0 is an integer to JSON Schema.
        if (value.ValueKind is not JsonValueKind.Number || !value.TryGetDouble(out double number) || number != Math.Floor(number))
            return Wrong<long?>(name, value, "an integer");
        if (number >= minimum && number <= maximum)
            return (long)number;
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
