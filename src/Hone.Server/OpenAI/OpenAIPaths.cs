namespace Hone.Server.OpenAI;

/// <summary>Where the dialect is spoken: under <c>/v1</c> for the token's own account, and under each account's <c>ai/v1</c>.</summary>
internal static class OpenAIPaths
{
    public const string Short = "/v1";
    public const string OfAccount = "/client/v4/accounts/{account_id}/ai/v1";

    /// <summary>What the original has and Hone does not, with what to do instead.</summary>
    private static readonly (string Path, string Instead)[] NotOffered =
    [
        ("embeddings", "The models here generate text."),
        ("responses", "Use /chat/completions."),
        ("assistants", "Use /chat/completions."),
        ("threads", "Use /chat/completions."),
        ("batches", "Send the requests one by one; they are decoded together."),
        ("images", "The models here generate text."),
        ("audio", "The models here generate text."),
        ("moderations", "The models here generate text."),
        ("realtime", "Use /chat/completions with stream."),
        ("vector_stores", "The models here generate text."),
        ("containers", "The models here generate text."),
        ("evals", "The job's events and its result file have the figures of the validation rows."),
        ("fine_tuning/alpha", "The methods are supervised and dpo."),
        ("fine_tuning/checkpoints", "Checkpoints belong to their account."),
    ];

    /// <summary>Why a path leads nowhere, where it is one of the original's.</summary>
    public static string? Missing(string path)
    {
        string own = string.Join('/', path.TrimStart('/').Split('/').Skip(Length(path)));
        var (name, instead) = NotOffered.FirstOrDefault(n => own == n.Path || own.StartsWith($"{n.Path}/", StringComparison.Ordinal));
        return name is null ? null : $"/{name} is not offered. {instead}";
    }

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
