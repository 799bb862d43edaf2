using System.Text.Json;
using System.Text.Json.Serialization;
using Hone.Core.Store;
using Hone.Formats;
using Microsoft.EntityFrameworkCore;

namespace Hone.Core.Accounts;

/// <summary><c>credentials.json</c> of a data folder: what a client on the same machine needs.</summary>
public sealed record Credentials
{
    public required string Url { get; init; }
    public required string AccountId { get; init; }
    public required string Token { get; init; }
    public required string Email { get; init; }
    public required string Key { get; init; }

    /// <summary>Null when there is no such file. Throws <see cref="InvalidFileException"/> when it cannot be read as credentials.</summary>
    public static Credentials? Read(string path)
    {
        if (!File.Exists(path))
            return null;
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), AccountJson.Default.Credentials) ?? throw new JsonException("it is null.");
        }
        catch (JsonException e)
        {
            throw new InvalidFileException($"{path} is not a credentials file: {e.Message} Restore it; or remove it and make another token with `hone tokens create`.", e);
        }
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true)]
[JsonSerializable(typeof(Credentials))]
internal sealed partial class AccountJson : JsonSerializerContext;

/// <summary>Makes the account of an empty data folder.</summary>
public sealed class FirstRun(HoneStore store, StoreWriter writer, AccountService accounts, DataFolder folder)
{
    public const string AccountName = "default";
    public const string Email = "admin@localhost";

    /// <summary>
    /// On a data folder without accounts: writes the credentials file (mode 0600), then makes the account in it. The file comes first, so that a crash
    /// between the two loses nothing: the next start makes the account that the file names. With accounts: only the file's address is brought up to date.
    /// Null when there are accounts but no file.
    /// </summary>
    public async Task<Credentials?> EnsureCredentialsAsync(string url, CancellationToken cancellationToken)
    {
        Credentials? credentials = Credentials.Read(folder.CredentialsPath);
        bool empty;
        await using (HoneDbContext db = store.Read())
            empty = !await db.Accounts.AnyAsync(cancellationToken);
        if (credentials is null && !empty)
            return null;
        Credentials wanted = credentials is null
            ? new Credentials { Url = url, AccountId = AccountService.NewId(), Token = TokenFormat.Create(), Email = Email, Key = TokenFormat.Create() }
            : credentials with { Url = url };
        if (wanted != credentials)
            folder.WritePrivateFile(folder.CredentialsPath, JsonSerializer.SerializeToUtf8Bytes(wanted, AccountJson.Default.Credentials));
        if (empty)
        {
            Account account = accounts.NewAccount(wanted.AccountId, AccountName, wanted.Email, wanted.Key);
            ApiToken token = accounts.NewToken(wanted.AccountId, "first run", TokenPermission.Write, null, wanted.Token);
            await writer.RunAsync(async db =>
            {
                db.Accounts.Add(account);
                db.ApiTokens.Add(token);
                return await db.SaveChangesAsync(cancellationToken);
            }, cancellationToken);
        }
        return wanted;
    }
}
