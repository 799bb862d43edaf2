using System.Security.Cryptography;
using Hone.Core.Store;
using Microsoft.EntityFrameworkCore;

namespace Hone.Core.Accounts;

/// <summary>Accounts and their tokens. Secrets leave this class once, when they are made.</summary>
public sealed class AccountService(HoneStore store, StoreWriter writer, TokenCache tokens, TimeProvider clock)
{
    public async Task<NewAccount> CreateAccountAsync(string name, string email, CancellationToken cancellationToken)
    {
        string key = TokenFormat.Create();
        Account account = NewAccount(NewId(), name, email, key);
        await writer.RunAsync(async db =>
        {
            db.Accounts.Add(account);
            return await db.SaveChangesAsync(cancellationToken);
        }, cancellationToken);
        return new NewAccount(account, key);
    }

    public async Task<IReadOnlyList<Account>> ListAsync(CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        return await db.Accounts.OrderBy(a => a.CreatedAt).ThenBy(a => a.Id).ToListAsync(cancellationToken);
    }

    public async Task<Account?> FindAsync(string accountId, CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        return await db.Accounts.FirstOrDefaultAsync(a => a.Id == accountId, cancellationToken);
    }

    /// <summary>Null when there is no such account.</summary>
    public async Task<NewToken?> CreateTokenAsync(string accountId, string name, TokenPermission permission, DateTimeOffset? expiresAt, CancellationToken cancellationToken)
    {
        string secret = TokenFormat.Create();
        ApiToken token = NewToken(accountId, name, permission, expiresAt, secret);
        bool made = await writer.RunAsync(async db =>
        {
            if (!await db.Accounts.AnyAsync(a => a.Id == accountId, cancellationToken))
                return false;
            db.ApiTokens.Add(token);
            await db.SaveChangesAsync(cancellationToken);
            return true;
        }, cancellationToken);
        return made ? new NewToken(token, secret) : null;
    }

    public async Task<IReadOnlyList<ApiToken>> ListTokensAsync(string accountId, CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        return await db.ApiTokens.Where(t => t.AccountId == accountId).OrderBy(t => t.CreatedAt).ThenBy(t => t.Id).ToListAsync(cancellationToken);
    }

    /// <summary>False when the account has no such token that is still active.</summary>
    public async Task<bool> RevokeAsync(string accountId, string tokenId, CancellationToken cancellationToken)
    {
        DateTimeOffset now = clock.GetUtcNow();
        return await writer.RunAsync(async db => await db.ApiTokens
            .Where(t => t.Id == tokenId && t.AccountId == accountId && t.RevokedAt == null)
            .ExecuteUpdateAsync(set => set.SetProperty(t => t.RevokedAt, now), cancellationToken), cancellationToken) > 0;
    }

    /// <summary>Null when the token is malformed, unknown, revoked or expired.</summary>
    public ValueTask<Principal?> AuthenticateBearerAsync(string? token, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (!TokenFormat.IsWellFormed(token))
            return default;
        Principal? found = tokens.Find(token!);
        return found is null || found.ExpiresAt <= clock.GetUtcNow() ? default : new(found);
    }

    /// <summary>Null when the key is malformed or unknown, or belongs to another address. A key may do everything in its account.</summary>
    public async Task<Principal?> AuthenticateKeyAsync(string? email, string? key, CancellationToken cancellationToken)
    {
        if (string.IsNullOrEmpty(email) || !TokenFormat.IsWellFormed(key))
            return null;
        byte[] hash = TokenFormat.Hash(key!);
        await using HoneDbContext db = store.Read();
        Account? account = await db.Accounts.FirstOrDefaultAsync(a => a.KeyHash == hash, cancellationToken);
        if (account is null || !CryptographicOperations.FixedTimeEquals(account.KeyHash, hash)
            || !string.Equals(account.Email, email, StringComparison.OrdinalIgnoreCase))
            return null;
        return new Principal(account.Id, account.Name, account.Email, null, TokenPermission.Write, null);
    }

    internal Account NewAccount(string id, string name, string email, string key) =>
        new() { Id = id, Name = name, Email = email, KeyHash = TokenFormat.Hash(key), CreatedAt = clock.GetUtcNow() };

    internal ApiToken NewToken(string accountId, string name, TokenPermission permission, DateTimeOffset? expiresAt, string secret) => new()
    {
        Id = NewId(),
        AccountId = accountId,
        Name = name,
        Permission = permission,
        Hash = TokenFormat.Hash(secret),
        Prefix = TokenFormat.Shown(secret),
        CreatedAt = clock.GetUtcNow(),
        ExpiresAt = expiresAt,
    };

    internal static string NewId() => RandomNumberGenerator.GetHexString(32, lowercase: true);
}
