using Hone.Client;
using Hone.Core;
using Hone.Core.Accounts;
using Hone.Core.Store;
using Microsoft.Extensions.DependencyInjection;

namespace Hone.Commands.Admin;

/// <summary>A data folder opened in this process, beside a server that may be running on it. For what the public API has no endpoint for.</summary>
internal sealed class LocalStore : IAsyncDisposable
{
    private readonly ServiceProvider _services;

    private LocalStore(ServiceProvider services) => _services = services;

    public T Get<T>() where T : notnull => _services.GetRequiredService<T>();

    /// <param name="create">Makes a folder that does not exist; otherwise that is an error.</param>
    public static async Task<LocalStore> OpenAsync(string? given, bool create, CancellationToken cancellationToken)
    {
        string path = DataPath.Resolve(given);
        ServiceProvider services = new ServiceCollection().AddLogging().AddHoneCore(new HoneCoreOptions { DataFolder = path }).BuildServiceProvider();
        try
        {
            var folder = services.GetRequiredService<DataFolder>();
            if (!create && !File.Exists(folder.DatabasePath))
                throw new CliException($"{path} is not a data folder: it has no {Path.GetFileName(folder.DatabasePath)}.", "`hone serve` makes one; --data or HONE_DATA names another.");
            try
            {
                using (folder.Lock())
                    await services.GetRequiredService<HoneStore>().InitializeAsync(cancellationToken);
            }
            catch (StorageException held) when (held.Problem == StorageProblem.InUse)
            {
                // A server has it, so the database is up to date.
            }
            return new LocalStore(services);
        }
        catch
        {
            await services.DisposeAsync();
            throw;
        }
    }

    /// <param name="given">Id or name; null: the only one.</param>
    public async Task<Account> AccountAsync(string? given, CancellationToken cancellationToken)
    {
        IReadOnlyList<Account> accounts = await Get<AccountService>().ListAsync(cancellationToken);
        if (given is null)
        {
            return accounts.Count == 1 ? accounts[0] : throw new CliException(
                $"There are {accounts.Count} accounts.", accounts.Count == 0 ? "`hone accounts create` makes one." : "name one with --account; `hone accounts list` shows them.");
        }
        Account[] found = [.. accounts.Where(account => account.Id == given)];
        if (found.Length == 0)
            found = [.. accounts.Where(account => account.Name == given)];
        return found switch
        {
            [var account] => account,
            [] => throw new CliException($"There is no account \"{given}\".", "`hone accounts list` shows them."),
            _ => throw new CliException($"{found.Length} accounts are called \"{given}\".", $"name one by its id: {string.Join(", ", found.Select(account => account.Id))}."),
        };
    }

    public ValueTask DisposeAsync() => _services.DisposeAsync();
}
