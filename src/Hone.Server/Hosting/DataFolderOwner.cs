using Hone.Core.Store;

namespace Hone.Server.Hosting;

/// <summary>Holds the data folder while the server runs; the database is up to date before anything else starts.</summary>
internal sealed class DataFolderOwner(DataFolder folder, HoneStore store) : IHostedLifecycleService
{
    private IDisposable? held;

    public async Task StartingAsync(CancellationToken cancellationToken)
    {
        held = folder.Lock();
        try
        {
            await store.InitializeAsync(cancellationToken);
        }
        catch
        {
            held.Dispose();
            throw;
        }
    }

    public Task StoppedAsync(CancellationToken cancellationToken)
    {
        held?.Dispose();
        return Task.CompletedTask;
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
