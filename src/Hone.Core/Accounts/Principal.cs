namespace Hone.Core.Accounts;

/// <summary>Who a request speaks for.</summary>
/// <param name="TokenId">Null when the account's key was used.</param>
/// <param name="ExpiresAt">Of the token, where it has one.</param>
public sealed record Principal(string AccountId, string AccountName, string Email, string? TokenId, TokenPermission Permission, DateTimeOffset? ExpiresAt)
{
    public bool MayWrite => Permission == TokenPermission.Write;
}
