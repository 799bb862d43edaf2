using Hone.Core.Store;

namespace Hone.Server.Hosting;

/// <summary>Holds the data folder while the server runs; the database is up to date before anything else starts.</summary>
internal sealed class DataFolderOwner(DataFolder folder, HoneStore store) : IHostedLifecycleService, IDisposable
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
            Dispose();
            throw;
        }
    }

    public Task StoppedAsync(CancellationToken cancellationToken)
    {
        Dispose();
        return Task.CompletedTask;
    }

    /// <summary>Also where the start failed later, at the port for example.</summary>
    public void Dispose() => held?.Dispose();

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
