namespace Hone.Formats.Constraints;

/// <summary>
/// The formats that are enforced, as patterns. Each takes a part of what its specification allows that every reader understands: years from 1000, no leap seconds, e-mail
/// addresses without quotes.
/// </summary>
internal static class StringFormats
{
    private const string Date = "([1-9][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))" +
        "|([1-9][0-9](0[48]|[2468][048]|[13579][26])|([2468][048]|[13579][26])00)-02-29)";

    private const string Time = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])";

    private static readonly Dictionary<string, string> s_patterns = new()
    {
        ["date-time"] = $"^{Date}T{Time}$",
        ["date"] = $"^{Date}$",
        ["time"] = $"^{Time}$",
        ["email"] = "^[a-zA-Z0-9_+-]{1,20}(\\.[a-zA-Z0-9_+-]{1,20}){0,2}@([a-zA-Z0-9]([a-zA-Z0-9-]{0,20}[a-zA-Z0-9])?\\.){1,3}[a-zA-Z]{2,10}$",
        ["uuid"] = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
        ["ipv4"] = "^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])$",
    };

    public static IReadOnlyCollection<string> Names => s_patterns.Keys;

    public static string PatternOf(string format) => s_patterns[format];
}
