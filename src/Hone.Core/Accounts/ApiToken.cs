namespace Hone.Core.Accounts;

/// <summary>What a token may do. Write implies read.</summary>
public enum TokenPermission
{
    Read,
    Write,
}

public sealed class ApiToken
{
    /// <summary>32 lower-case hex digits.</summary>
    public required string Id { get; init; }
    public required string AccountId { get; init; }
    public required string Name { get; init; }
    public required TokenPermission Permission { get; init; }

    /// <summary>SHA-256 of the secret; the secret itself is shown once and kept nowhere.</summary>
    public required byte[] Hash { get; init; }

    /// <summary>The secret's first characters, to tell tokens apart.</summary>
    public required string Prefix { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public DateTimeOffset? ExpiresAt { get; init; }
    public DateTimeOffset? RevokedAt { get; set; }

    public bool IsActive(DateTimeOffset now) => RevokedAt is null && (ExpiresAt is null || ExpiresAt > now);
}

/// <param name="Secret">Shown once.</param>
public sealed record NewToken(ApiToken Token, string Secret);

/// <param name="Key">The account's key for <c>X-Auth-Key</c>; shown once.</param>
public sealed record NewAccount(Account Account, string Key);
