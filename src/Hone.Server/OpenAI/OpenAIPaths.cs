namespace Hone.Server.OpenAI;

/// <summary>Where the dialect is spoken: under <c>/v1</c> for the token's own account, and under each account's <c>ai/v1</c>.</summary>
internal static class OpenAIPaths
{
    public const string Short = "/v1";
    public const string OfAccount = "/client/v4/accounts/{account_id}/ai/v1";

    /// <summary>Whether an answer to this path has the dialect's shape.</summary>
    public static bool Has(string? path) => Length(path) > 0;

    /// <summary>Segments before the dialect's own: 1, or 6; 0 where the path is not the dialect's.</summary>
    public static int Length(string? path)
    {
        string[] segments = (path ?? "").TrimStart('/').Split('/');
        return segments switch
        {
            ["v1", ..] => 1,
            ["client", "v4", "accounts", _, "ai", "v1", ..] => 6,
            _ => 0,
        };
    }
}
