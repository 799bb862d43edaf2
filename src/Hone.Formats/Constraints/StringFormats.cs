namespace Hone.Formats.Constraints;

/// <summary>
/// The formats that are enforced, as patterns. What is written is a part of what the specification allows that every reader understands: years from 1000, no leap seconds, e-mail
/// addresses without quotes, addresses of the web. What is given, or must not be of a format, is measured by all that a reader may take.
/// </summary>
internal static class StringFormats
{
    private const string Date = "([1-9][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))" +
        "|([1-9][0-9](0[48]|[2468][048]|[13579][26])|([2468][048]|[13579][26])00)-02-29)";

    private const string Time = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])";

    private const string Label = "[a-zA-Z0-9]{1,16}(-[a-zA-Z0-9]{1,16})?";
    private const string Domain = $"({Label}\\.){{1,3}}[a-zA-Z]{{2,10}}";
    private const string Group = "[0-9a-fA-F]{1,4}";

    private const string Uuid = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}";
    private const string Ipv4 = "^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])$";

    private const string AnyDate = "[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|[12][0-9]))";
    private const string AnyTime = "[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]+)?([Zz]|[+-][0-2][0-9](:?[0-5][0-9])?)?";

    private static readonly Dictionary<string, (string Written, string Taken)> s_patterns = new()
    {
        ["date-time"] = ($"^{Date}T{Time}$", $"^{AnyDate}[Tt\\s]{AnyTime}$"),
        ["date"] = ($"^{Date}$", $"^{AnyDate}$"),
        ["time"] = ($"^{Time}$", $"^{AnyTime}$"),
        ["email"] = ($"^[a-zA-Z0-9_+-]{{1,20}}(\\.[a-zA-Z0-9_+-]{{1,20}}){{0,2}}@{Domain}$", "^.+@.+$"),
        ["hostname"] = ($"^({Domain}|[a-zA-Z]{{2,10}})$", "^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?\\.?$"),
        ["uri"] = ($"^https?://{Domain}(:[1-9][0-9]{{0,3}})?(/[a-zA-Z0-9._~-]{{1,40}}){{0,10}}/?(\\?[a-zA-Z0-9._~=&-]{{1,200}})?(#[a-zA-Z0-9._~-]{{1,40}})?$", "^[a-zA-Z][a-zA-Z0-9+.-]*:\\S*$"),
        ["duration"] = ("^P([1-9][0-9]{0,3}W|[1-9][0-9]{0,3}D(T(Clock))?|T(Clock))$".Replace("Clock", "[1-9][0-9]{0,3}H([1-9][0-9]?M)?|[1-9][0-9]{0,3}M([1-9][0-9]?S)?|[1-9][0-9]{0,3}S", StringComparison.Ordinal),
            "^P([0-9]+Y)?([0-9]+M)?([0-9]+W)?([0-9]+D)?(T([0-9]+H)?([0-9]+M)?([0-9]+(\\.[0-9]+)?S)?)?$"),
        ["uuid"] = ($"^{Uuid}$", $"^([uU][rR][nN]:[uU][uU][iI][dD]:)?{Uuid}$"),
        ["ipv6"] = ($"^(({Group}:){{7}}{Group}|({Group}:){{1,6}}:{Group}|({Group}:){{1,7}}:|::({Group})?)$", "^[0-9a-fA-F:.]*:[0-9a-fA-F:.]*$"),
        ["ipv4"] = (Ipv4, Ipv4),
    };

    /// <summary>What libraries of schemas call patterns that they write beside the name.</summary>
    public static IReadOnlySet<string> SaidByPattern { get; } = new HashSet<string>
    {
        "starts_with", "ends_with", "includes", "lowercase", "uppercase", "hex", "cuid", "cuid2", "ulid", "xid", "ksuid", "nanoid", "e164", "cidrv4", "cidrv6",
    };

    public static IReadOnlyCollection<string> Names => s_patterns.Keys;

    /// <summary>What is written of a format.</summary>
    public static string Written(string format) => s_patterns[format].Written;

    /// <summary>At least what a reader may take for the format.</summary>
    public static string Taken(string format) => s_patterns[format].Taken;
}
