using System.Runtime.CompilerServices;
using System.Text;
using Hone.Core.Models;
using Hone.Formats.Inference;
using Hone.Formats.Models;
using Microsoft.Extensions.Logging;

namespace Hone.Core.Inference;

/// <summary>The engines of a server: one child a base model, started on first use, many adapters in each.</summary>
public sealed partial class EnginePool : IAsyncDisposable
{
    private const string SocketFolderPrefix = "hone-engine-", OwnerFile = "owner";

    /// <summary>What sockaddr_un holds, without its final zero.</summary>
    private const int MaxSocketPath = 107;

    private readonly Func<string, CancellationToken, Task<string?>> _findModelPath;
    private readonly EngineSettings _settings;
    private readonly ILogger<EnginePool> _logger;
    private readonly TimeProvider _clock;
    private readonly CancellationToken _stopping;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Loaded> _engines = [];
    private readonly List<Engine> _retired = [];
    private DirectoryInfo? _sockets;
    private int _socketCount;
    private bool _disposed;

    /// <param name="findModelPath">The file of a model; null where there is none of that id.</param>
    /// <param name="stopping">The program goes down: what is under way ends with <see cref="EngineUnavailableException"/>.</param>
    public EnginePool(Func<string, CancellationToken, Task<string?>> findModelPath, EngineSettings settings, ILogger<EnginePool> logger, TimeProvider clock, CancellationToken stopping = default)
    {
        _stopping = stopping;
        _findModelPath = findModelPath;
        _settings = settings;
        _logger = logger;
        _clock = clock;
        RemoveLeftovers();
    }

    /// <summary>Text, an event a piece; the last one is <see cref="GenerateEvent.Done"/> or <see cref="GenerateEvent.Failed"/>. Ending the enumeration early, or cancelling, stops the generation.</summary>
    /// <exception cref="ModelNotFoundException"/>
    /// <exception cref="ModelUnavailableException">Its file is gone.</exception>
    /// <exception cref="EngineBusyException"/>
    /// <exception cref="EngineUnavailableException"/>
    /// <exception cref="EngineCrashedException"/>
    public async IAsyncEnumerable<GenerateEvent> GenerateAsync(string modelId, GenerateRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        string path = await _findModelPath(modelId, cancellationToken) ?? throw new ModelNotFoundException(modelId);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _stopping);
        await using IAsyncEnumerator<GenerateEvent> events = EngineFor(modelId, path).GenerateAsync(request, ending.Token).GetAsyncEnumerator(ending.Token);
        while (await MoveNextAsync(events, cancellationToken))
            yield return events.Current;
    }

    private async ValueTask<bool> MoveNextAsync(IAsyncEnumerator<GenerateEvent> events, CancellationToken cancellationToken)
    {
        try
        {
            return await events.MoveNextAsync();
        }
        catch (OperationCanceledException e) when (_stopping.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new EngineUnavailableException("The server shuts down. Ask again once it is back.", TimeSpan.FromSeconds(10), e);
        }
    }

    public async ValueTask DisposeAsync()
    {
        Engine[] engines;
        lock (_lock)
        {
            _disposed = true;
            engines = [.. _engines.Values.Select(e => e.Engine), .. _retired];
            _engines.Clear();
        }
        await Task.WhenAll(engines.Select(e => e.DisposeAsync().AsTask()));
        if (_sockets is { Exists: true })
            _sockets.Delete(recursive: true);
        File.Delete(SocketFolderNote);
    }

    private string SocketFolderNote => Path.Combine(_settings.DataFolder, "engine-sockets");

    private Engine EngineFor(string modelId, string path)
    {
        // A running engine keeps what it has of a file that is gone.
        (long Size, DateTime ModifiedAt)? content = Path.Exists(path) ? ModelFiles.Stamp(path) : null;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_engines.TryGetValue(modelId, out Loaded? loaded))
            {
                if (loaded.Path == path && (content is null || content == loaded.Content))
                    return loaded.Engine;
                // The one of the other content ends what it has begun.
                loaded.Engine.Retire();
                _retired.RemoveAll(engine => engine.IsEnded);
                _retired.Add(loaded.Engine);
            }
            if (content is null)
                throw ModelUnavailableException.Gone(modelId, path);
            var engine = new Engine(modelId, path, NewSocket, _settings, _logger, _clock);
            _engines[modelId] = new Loaded(path, content, engine);
            return engine;
        }
    }

    /// <summary>A data folder's path may be too long for a socket, or its file system unable to hold one: sockets live in the temporary folder, in one that only this user may enter.</summary>
    private string NewSocket()
    {
        lock (_lock)
        {
            // Where a cleaner of old temporary files has been, there is none any more.
            if (_sockets is null || !Directory.Exists(_sockets.FullName))
            {
                _sockets = OperatingSystem.IsWindows() || Encoding.UTF8.GetByteCount(Path.GetTempPath()) < MaxSocketPath - 40
                    ? Directory.CreateTempSubdirectory(SocketFolderPrefix)
                    : Directory.CreateDirectory($"/tmp/{SocketFolderPrefix}{Guid.NewGuid():n}", UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
                NoteSockets(_sockets.FullName);
            }
            return Path.Combine(_sockets.FullName, $"{++_socketCount}");
        }
    }

    /// <summary>A note that cannot be written costs a folder that is left behind, should the server be killed.</summary>
    private void NoteSockets(string folder)
    {
        try
        {
            File.WriteAllText(Path.Combine(folder, OwnerFile), Owner);
            File.WriteAllText(SocketFolderNote, folder);
        }
        catch (IOException error)
        {
            LogNotNoted(_logger, folder, error);
        }
    }

    /// <summary>The sockets of a server that was killed. A copy of a data folder has the note too: what it names is the original's, which may be running.</summary>
    private void RemoveLeftovers()
    {
        if (!File.Exists(SocketFolderNote))
            return;
        string folder = File.ReadAllText(SocketFolderNote), owner = Path.Combine(folder, OwnerFile);
        if (Path.GetFileName(folder).StartsWith(SocketFolderPrefix, StringComparison.Ordinal) && File.Exists(owner) && File.ReadAllText(owner) == Owner)
            Directory.Delete(folder, recursive: true);
        File.Delete(SocketFolderNote);
    }

    private string Owner => Path.GetFullPath(_settings.DataFolder);

    [LoggerMessage(3121, LogLevel.Warning, "The folder of the engines' sockets, {Folder}, could not be noted: should this process be killed, it stays")]
    private static partial void LogNotNoted(ILogger logger, string folder, Exception error);

    /// <param name="Content">As it was when the engine was made; null: there was no file.</param>
    private sealed record Loaded(string Path, (long Size, DateTime ModifiedAt)? Content, Engine Engine);
}
