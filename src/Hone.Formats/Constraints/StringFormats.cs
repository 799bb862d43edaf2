namespace Hone.Formats.Constraints;

/// <summary>
/// The formats that are enforced, as patterns. Each takes a part of what its specification allows that every reader understands: years from 1000, no leap seconds, e-mail
/// addresses without quotes, addresses of the web.
/// </summary>
internal static class StringFormats
{
    private const string Date = "([1-9][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))" +
        "|([1-9][0-9](0[48]|[2468][048]|[13579][26])|([2468][048]|[13579][26])00)-02-29)";

    private const string Time = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])";

    private const string Label = "[a-zA-Z0-9]{1,16}(-[a-zA-Z0-9]{1,16})?";
    private const string Domain = $"({Label}\\.){{1,3}}[a-zA-Z]{{2,10}}";
    private const string Group = "[0-9a-fA-F]{1,4}";

    private static readonly Dictionary<string, string> s_patterns = new()
    {
        ["date-time"] = $"^{Date}T{Time}$",
        ["date"] = $"^{Date}$",
        ["time"] = $"^{Time}$",
        ["email"] = $"^[a-zA-Z0-9_+-]{{1,20}}(\\.[a-zA-Z0-9_+-]{{1,20}}){{0,2}}@{Domain}$",
        ["hostname"] = $"^({Domain}|[a-zA-Z]{{2,10}})$",
        ["uri"] = $"^https?://{Domain}(:[1-9][0-9]{{0,3}})?(/[a-zA-Z0-9._~-]{{1,40}}){{0,10}}/?(\\?[a-zA-Z0-9._~=&-]{{1,200}})?(#[a-zA-Z0-9._~-]{{1,40}})?$",
        ["duration"] = "^P([1-9][0-9]{0,3}W|[1-9][0-9]{0,3}D(T(Clock))?|T(Clock))$".Replace("Clock", "[1-9][0-9]{0,3}H([1-9][0-9]?M)?|[1-9][0-9]{0,3}M([1-9][0-9]?S)?|[1-9][0-9]{0,3}S", StringComparison.Ordinal),
        ["uuid"] = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
        ["ipv6"] = $"^(({Group}:){{7}}{Group}|({Group}:){{1,6}}:{Group}|({Group}:){{1,7}}:|::({Group})?)$",
        ["ipv4"] = "^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])$",
    };

    /// <summary>What libraries of schemas call patterns that they write beside the name.</summary>
    public static IReadOnlySet<string> SaidByPattern { get; } = new HashSet<string>
    {
        "starts_with", "ends_with", "includes", "lowercase", "uppercase", "hex", "cuid", "cuid2", "ulid", "xid", "ksuid", "nanoid", "e164", "cidrv4", "cidrv6",
    };

    public static IReadOnlyCollection<string> Names => s_patterns.Keys;

    public static string PatternOf(string format) => s_patterns[format];
}
