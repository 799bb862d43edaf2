using System.Text;
using Hone.Core.Accounts;
using Hone.Core.Blobs;
using Hone.Core.Finetunes;
using Hone.Core.Models;
using Hone.Core.Scheduling;
using Hone.Core.Store;
using Hone.Core.Tests.Blobs;
using Hone.Core.Tests.Processes;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Hone.Core.Tests.Scheduling;

/// <summary>A data folder with the real store, workers that can be started and stopped over it, and a scripted trainer.</summary>
internal sealed class WorkerFixture : IAsyncDisposable
{
    public static readonly string Data = string.Concat(Enumerable.Range(1, 12).Select(
        i => $$"""{"messages":[{"role":"user","content":"What is {{i}} and {{i}}?"},{"role":"assistant","content":"It is {{2 * i}}."}]}""" + "\n"));

    private readonly ServiceProvider _services;
    private readonly ScriptedChild _scripted;
    private readonly List<WorkerLoop> _workers = [];
    private string _accountId = "";

    private WorkerFixture(string script)
    {
        _scripted = new ScriptedChild(script);
        var services = new ServiceCollection();
        services.AddSingleton<ILoggerFactory>(NullLoggerFactory.Instance);
        services.AddSingleton(typeof(ILogger<>), typeof(NullLogger<>));
        services.AddHoneCore(new HoneCoreOptions { DataFolder = _scripted.Folder });
        _services = services.BuildServiceProvider();
        Settings = new WorkerSettings { DataFolder = _scripted.Folder, Executable = _scripted.Executable, RetryAfter = [TimeSpan.Zero], EventsEvery = TimeSpan.FromMilliseconds(10) };
    }

    public WorkerSettings Settings { get; set; }

    public ScriptedChild Child => _scripted;

    public string JobsFolder => Path.Combine(_scripted.Folder, "jobs");

    public T Get<T>() where T : notnull => _services.GetRequiredService<T>();

    private static CancellationToken Now => TestContext.Current.CancellationToken;

    public static async Task<WorkerFixture> CreateAsync(string script)
    {
        var fixture = new WorkerFixture(script);
        await fixture.Get<HoneStore>().InitializeAsync(Now);
        NewAccount account = await fixture.Get<AccountService>().CreateAccountAsync("Test", "test@example.com", Now);
        fixture._accountId = account.Account.Id;
        return fixture;
    }

    public async Task<WorkerLoop> StartWorkerAsync()
    {
        var worker = new WorkerLoop(Get<SqliteJobQueue>(), Get<HoneStore>(), Get<StoreSignals>(), Get<BlobStore>(), Get<ModelCatalog>(), Settings, NullLogger<WorkerLoop>.Instance, TimeProvider.System);
        _workers.Add(worker);
        await worker.StartAsync(Now);
        return worker;
    }

    public async Task<Guid> QueueJobAsync(string name = "job")
    {
        var finetunes = Get<FinetuneService>();
        var created = Assert.IsType<CreateResult.Created>(await finetunes.CreateAsync(_accountId, new CreateFinetune { Model = ModelCatalog.EmbeddedId, Name = name }, Now));
        using var data = new MemoryStream(Encoding.UTF8.GetBytes(Data));
        UploadResult stored = await finetunes.UploadAssetAsync(_accountId, name, AssetFiles.TrainingData, data, Now);
        Assert.True(stored is UploadResult.Stored { Finetune.State: FinetuneState.Queued }, stored is UploadResult.Refused refused ? string.Join(' ', refused.Errors) : stored.ToString());
        return created.Finetune.Id;
    }

    /// <summary>One bit of a stored file is another one now.</summary>
    public void Damage(string sha256) => DamagedFile.FlipBit(Get<BlobStore>().PathOf(sha256));

    public Task CancelAsync(string name = "job") => Get<FinetuneService>().CancelAsync(_accountId, name, Now);

    public Task<HoldResult> PauseAsync(string name = "job") => Get<FinetuneService>().PauseAsync(_accountId, name, Now);

    public Task<HoldResult> ResumeAsync(string name = "job") => Get<FinetuneService>().ResumeAsync(_accountId, name, Now);

    public Task DeleteAsync(string name = "job") => Get<FinetuneService>().DeleteAsync(_accountId, name, Now);

    /// <summary>The job's events to its final state.</summary>
    public async Task<List<FinetuneEvent>> FinishAsync(Guid id)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Now);
        patience.CancelAfter(ScriptedChild.Patience);
        var events = new List<FinetuneEvent>();
        await foreach (FinetuneEvent e in Get<FinetuneService>().WatchEventsAsync(id, 0, patience.Token))
            events.Add(e);
        return events;
    }

    /// <summary>Returns when the job has an event of which the condition holds.</summary>
    public async Task SeeAsync(Guid id, Func<FinetuneEvent, bool> wanted)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Now);
        patience.CancelAfter(ScriptedChild.Patience);
        await foreach (FinetuneEvent e in Get<FinetuneService>().WatchEventsAsync(id, 0, patience.Token))
        {
            if (wanted(e))
                return;
        }
        Assert.Fail("The job ended without the event.");
    }

    public async Task<Finetune?> RowAsync(Guid id)
    {
        await using HoneDbContext db = Get<HoneStore>().Read();
        return await db.Finetunes.SingleOrDefaultAsync(f => f.Id == id, Now);
    }

    /// <summary>What is published, by name, as text.</summary>
    public async Task<Dictionary<string, string>> FilesAsync(Guid id)
    {
        var files = new Dictionary<string, string>();
        foreach (FinetuneAsset asset in await Get<FinetuneService>().ListAssetsAsync(id, Now))
            files[asset.FileName] = await File.ReadAllTextAsync(Get<BlobStore>().PathOf(asset.Sha256), Now);
        return files;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (WorkerLoop worker in _workers)
        {
            await worker.StopAsync(CancellationToken.None);
            worker.Dispose();
        }
        await _services.DisposeAsync();
        _scripted.Dispose();
    }
}
