using Hone.Core.Accounts;
using Hone.Core.Blobs;
using Hone.Core.Files;
using Hone.Core.Finetunes;
using Hone.Core.Models;
using Hone.Core.Store;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Hone.Core;

public static class HoneCoreServices
{
    /// <summary>
    /// Registers accounts, finetunes, models, blobs and the store over one data folder. <see cref="HoneStore.InitializeAsync"/> must have
    /// run before anything is asked of them, here or, as <see cref="HoneStore.RequireVersionAsync"/> tells, in another process.
    /// </summary>
    public static IServiceCollection AddHoneCore(this IServiceCollection services, HoneCoreOptions options)
    {
        options.Validate();
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton(options);
        services.AddSingleton(options.Limits);
        services.AddSingleton<DataFolder>();
        services.AddSingleton<DiskReserve>();
        services.AddSingleton<HoneStore>();
        services.AddSingleton<StoreWriter>();
        services.AddSingleton<StoreSignals>();
        services.AddSingleton<SqliteJobQueue>();
        services.AddSingleton<BlobStore>();
        services.AddSingleton<BlobCollector>();
        services.AddHostedService(provider => provider.GetRequiredService<BlobCollector>());
        services.AddSingleton<ModelCatalog>();
        services.AddSingleton<StoreVersion>();
        services.AddSingleton<TokenCache>();
        services.AddSingleton<AccountService>();
        services.AddSingleton<FirstRun>();
        services.AddSingleton<AssetCheck>();
        services.AddSingleton<FinetuneService>();
        services.AddSingleton<AdapterFolders>();
        services.AddSingleton<FileService>();
        return services;
    }
}
