namespace Hone.Core.Accounts;

public sealed class Account
{
    /// <summary>32 lower-case hex digits.</summary>
    public required string Id { get; init; }
    public required string Name { get; set; }
    public required string Email { get; set; }

    /// <summary>SHA-256 of the account's key, the secret of <c>X-Auth-Key</c>.</summary>
    public required byte[] KeyHash { get; set; }
    public required DateTimeOffset CreatedAt { get; init; }
}
