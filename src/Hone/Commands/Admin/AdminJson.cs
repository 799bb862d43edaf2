using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Hone.Core.Accounts;

namespace Hone.Commands.Admin;

/// <param name="Key">The secret for <c>X-Auth-Key</c>; only when the account is made.</param>
internal sealed record AccountRow(string Id, string Name, string Email, DateTimeOffset CreatedAt, string? Key = null)
{
    public static AccountRow Of(Account account, string? key = null) => new(account.Id, account.Name, account.Email, account.CreatedAt, key);
}

/// <param name="Token">The secret; only when the token is made.</param>
internal sealed record TokenRow(
    string Id, string AccountId, string Name, string Permission, string Prefix, string Status, DateTimeOffset CreatedAt, DateTimeOffset? ExpiresAt, DateTimeOffset? RevokedAt, string? Token = null)
{
    public static TokenRow Of(ApiToken token, DateTimeOffset now, string? secret = null) => new(
        token.Id, token.AccountId, token.Name, token.Permission == TokenPermission.Write ? "write" : "read", token.Prefix,
        token.RevokedAt is not null ? "revoked" : token.IsActive(now) ? "active" : "expired", token.CreatedAt, token.ExpiresAt, token.RevokedAt, secret);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(AccountRow[]))]
[JsonSerializable(typeof(TokenRow[]))]
internal sealed partial class AdminJson : JsonSerializerContext
{
    public static AdminJson Readable { get; } = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });
}
