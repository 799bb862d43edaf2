using Hone.Core.Accounts;
using Hone.Core.Blobs;
using Hone.Core.Files;
using Hone.Core.Finetunes;
using Hone.Core.Models;
using Hone.Core.Store;
using Microsoft.Extensions.DependencyInjection;

namespace Hone.Core.Tests;

/// <summary>The whole of Hone.Core over a data folder of its own, with one account.</summary>
internal sealed class TestHone : IAsyncDisposable
{
    private readonly ServiceProvider services;
    private readonly bool ownsFolder;

    private TestHone(ServiceProvider services, string folder, bool ownsFolder)
    {
        this.services = services;
        this.ownsFolder = ownsFolder;
        Folder = folder;
    }

    public string Folder { get; }
    public string AccountId { get; private set; } = "";
    public HoneStore Store => services.GetRequiredService<HoneStore>();
    public StoreWriter Writer => services.GetRequiredService<StoreWriter>();
    public StoreVersion Version => services.GetRequiredService<StoreVersion>();
    public StoreSignals Signals => services.GetRequiredService<StoreSignals>();
    public SqliteJobQueue Queue => services.GetRequiredService<SqliteJobQueue>();
    public BlobStore Blobs => services.GetRequiredService<BlobStore>();
    public BlobCollector Collector => services.GetRequiredService<BlobCollector>();
    public ModelCatalog Models => services.GetRequiredService<ModelCatalog>();
    public AccountService Accounts => services.GetRequiredService<AccountService>();
    public FirstRun FirstRun => services.GetRequiredService<FirstRun>();
    public FinetuneService Finetunes => services.GetRequiredService<FinetuneService>();
    public FileService Files => services.GetRequiredService<FileService>();
    public AdapterFolders Adapters => services.GetRequiredService<AdapterFolders>();
    public DataFolder DataFolder => services.GetRequiredService<DataFolder>();

    public static async Task<TestHone> StartAsync(HoneLimits? limits = null, TimeProvider? clock = null, string? folder = null, string? blobFolder = null)
    {
        TestHone hone = Create(limits, clock, folder, blobFolder);
        await hone.Store.InitializeAsync(TestContext.Current.CancellationToken);
        hone.AccountId = (await hone.Accounts.CreateAccountAsync("test", "test@example.com", TestContext.Current.CancellationToken)).Account.Id;
        return hone;
    }

    /// <summary>Nothing is initialised.</summary>
    public static TestHone Create(HoneLimits? limits = null, TimeProvider? clock = null, string? folder = null, string? blobFolder = null)
    {
        string path = folder ?? Directory.CreateTempSubdirectory("hone-core-").FullName;
        var services = new ServiceCollection();
        services.AddLogging();
        if (clock is not null)
            services.AddSingleton(clock);
        services.AddHoneCore(new HoneCoreOptions { DataFolder = path, BlobFolder = blobFolder, Limits = limits ?? new HoneLimits() });
        return new TestHone(services.BuildServiceProvider(), path, folder is null);
    }

    public async Task<Finetune> CreateAsync(string name)
    {
        var request = new CreateFinetune { Model = ModelCatalog.EmbeddedId, Name = name };
        CreateResult result = await Finetunes.CreateAsync(AccountId, request, TestContext.Current.CancellationToken);
        return Assert.IsType<CreateResult.Created>(result).Finetune;
    }

    /// <summary>A job in the queue, without the checks of an upload.</summary>
    public async Task<Finetune> QueueAsync(string name)
    {
        Finetune finetune = await CreateAsync(name);
        await Writer.RunAsync(async db =>
        {
            db.Finetunes.Update(finetune);
            finetune.MoveTo(FinetuneState.Validating, finetune.CreatedAt);
            finetune.MoveTo(FinetuneState.Queued, finetune.CreatedAt);
            return await db.SaveChangesAsync();
        }, TestContext.Current.CancellationToken);
        return finetune;
    }

    public Task<UploadResult> UploadAsync(string name, string fileName, byte[] bytes) =>
        Finetunes.UploadAssetAsync(AccountId, name, fileName, new MemoryStream(bytes), TestContext.Current.CancellationToken);

    /// <summary>Every file under the blobs, finished or not.</summary>
    public IReadOnlyList<string> BlobFiles() => [.. Directory.EnumerateFiles(DataFolder.BlobPath, "*", SearchOption.AllDirectories)];

    public async Task<Finetune> GetAsync(Guid id) =>
        await Finetunes.FindAsync(AccountId, id.ToString(), includePublic: false, TestContext.Current.CancellationToken)
            ?? throw new InvalidOperationException($"{id} is gone.");

    public async Task<PublishedFile> BlobAsync(string fileName, byte[] bytes)
    {
        await using StagedBlob staged = await Blobs.StageAsync(new MemoryStream(bytes), long.MaxValue, TestContext.Current.CancellationToken);
        staged.Keep();
        return new PublishedFile(fileName, staged.Sha256, staged.Size);
    }

    public async ValueTask DisposeAsync()
    {
        await services.DisposeAsync();
        if (ownsFolder)
            Directory.Delete(Folder, recursive: true);
    }
}
