using Hone.Core.Store;

namespace Hone.Commands;

/// <summary>One worker loop a data folder: it clears up after the one before it, which must be gone.</summary>
internal static class WorkerLock
{
    public static IDisposable Take(DataFolder folder)
    {
        folder.Create();
        string path = Path.Combine(folder.Path, "worker.lock");
        try
        {
            return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
        }
        catch (Exception failure) when (StorageException.From(failure, folder.Path) is { } storage)
        {
            throw storage;
        }
        catch (IOException held)
        {
            throw new CliException($"Another worker works on {folder.Path}.", "stop it, or start this server with --no-worker; `hone serve` without it has a worker of its own.", held);
        }
    }
}
