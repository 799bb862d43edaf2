using System.Collections.Concurrent;
using System.Net;
using Hone.Core;
using Hone.Core.Accounts;
using Hone.Core.Inference;
using Hone.Core.Processes;
using Hone.Server.Auth;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Hone.Server.Tests;

/// <summary>The real server on a free loopback port over a fresh data folder; no worker, so queued jobs stay queued.</summary>
public sealed class RunningServer : IAsyncLifetime
{
    /// <summary>A test that waits longer than this has failed.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    public const string Model = "@cf/huggingfacetb/smollm2-135m-instruct";

    private static readonly TimeSpan Unlimited = Timeout.InfiniteTimeSpan;
    private WebApplication? app;
    private HttpClient? http;
    private int accounts;

    public string Folder { get; } = Directory.CreateTempSubdirectory("hone-server-").FullName;

    public string DataFolder => Path.Combine(Folder, "data");

    public ConcurrentQueue<string> Log { get; } = new();

    public WebApplication App => app!;

    public HttpClient Http => http!;

    public Uri Url => Http.BaseAddress!;

    public T Service<T>() where T : notnull => App.Services.GetRequiredService<T>();

    public ValueTask InitializeAsync() => StartAsync(new HoneLimits());

    /// <summary>Starts, or starts again over the same data.</summary>
    public async ValueTask StartAsync(HoneLimits limits, HoneExecutable? engine = null, int maxRequests = 64, string? blobs = null, RateLimit? rate = null, TimeProvider? clock = null, string[]? origins = null)
    {
        app = HoneServer.Build(new HoneServerOptions
        {
            Listen = new IPEndPoint(IPAddress.Loopback, 0),
            Core = new HoneCoreOptions { DataFolder = DataFolder, BlobFolder = blobs, Limits = limits },
            Engines = new EngineSettings { DataFolder = DataFolder, Executable = engine, MaxRequests = maxRequests },
            // Off unless a test is about it.
            RateLimit = rate,
            AllowedOrigins = origins ?? [],
            Services = services =>
            {
                if (clock is not null)
                    services.AddSingleton(clock);
            },
            Logging = logging => logging.AddProvider(new Lines(Log)),
        });
        await app.StartAsync();
        string address = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();
        http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false }) { BaseAddress = new Uri(address), Timeout = Unlimited };
    }

    public async Task StopAsync()
    {
        http?.Dispose();
        if (app is not null)
        {
            // Disposing alone doesn't wait for the background services, which write into the data folder.
            await app.StopAsync();
            await app.DisposeAsync();
        }
        app = null;
    }

    public async Task<TestAccount> NewAccountAsync()
    {
        var service = Service<AccountService>();
        var account = await service.CreateAccountAsync($"account {Interlocked.Increment(ref accounts)}", $"a{accounts}@example.org", CancellationToken.None);
        string write = (await service.CreateTokenAsync(account.Account.Id, "write", TokenPermission.Write, null, CancellationToken.None))!.Secret;
        string read = (await service.CreateTokenAsync(account.Account.Id, "read", TokenPermission.Read, null, CancellationToken.None))!.Secret;
        return new TestAccount(this, account.Account.Id, write, read, account.Account.Email, account.Key);
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        Directory.Delete(Folder, recursive: true);
    }

    private sealed class Lines(ConcurrentQueue<string> lines) : ILoggerProvider, ILogger, ISupportExternalScope
    {
        private IExternalScopeProvider scopes = new LoggerExternalScopeProvider();

        public ILogger CreateLogger(string categoryName) => this;

        public void SetScopeProvider(IExternalScopeProvider scopeProvider) => scopes = scopeProvider;

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => scopes.Push(state);

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            var line = new System.Text.StringBuilder($"{logLevel} ");
            scopes.ForEachScope((scope, text) => text.Append($"[{scope}] "), line);
            lines.Enqueue(line.Append(formatter(state, exception)).Append(exception).ToString());
        }

        public void Dispose()
        {
        }
    }
}
