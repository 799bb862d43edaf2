using System.CommandLine;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Hone.Client;
using Hone.Core;
using Hone.Core.Accounts;
using Hone.Core.Models;
using Hone.Core.Scheduling;
using Hone.Core.Store;
using Hone.Server;
using Hone.Terminals;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hone.Commands;

internal sealed class ServeCommand : CliCommand
{
    private readonly Option<string> _listen = new("--listen")
    {
        Description = "Address to listen on; port 0 takes a free one.",
        HelpName = "URL",
        DefaultValueFactory = _ => ServeOptions.DefaultListen,
    };
    private readonly Option<string?> _data = new("--data") { Description = "Data folder. Default: HONE_DATA, then ~/.local/share/hone.", HelpName = "DIR" };
    private readonly Option<string[]> _models = new("--models") { Description = "A folder of GGUF files to offer as base models; may be given several times.", HelpName = "DIR" };
    private readonly Option<bool> _noWorker = new("--no-worker") { Description = "Train nothing here: the API alone." };
    private readonly WorkerOptions _worker = new();
    private readonly ServeSettings _settings = new();
    private readonly Option<bool> _insecure = new("--insecure-http") { Description = "Allow listening beyond this machine without TLS: tokens travel readable." };
    private readonly Option<bool> _quiet = new("--quiet") { Description = "Log warnings and errors alone, not each request." };
    private readonly Option<bool> _json = new("--json") { Description = "Print the address and the credentials as one line of JSON." };
    private readonly Option<bool> _untilInputEnds = new("--until-input-ends") { Description = "Stop when standard input ends.", Hidden = true };

    public ServeCommand() : base("serve", "Serves the API, and trains what is uploaded to it.",
        "hone serve", "hone serve --data ./hone-data --listen http://127.0.0.1:8080 --slots 2 --memory-limit 12G")
    {
        foreach (Option option in new Option[] { _listen, _data, _models, _noWorker, _insecure, _quiet, _json, _untilInputEnds })
            Options.Add(option);
        _worker.AddTo(this);
        _settings.AddTo(this);
    }

    public override IEnumerable<string> UsageErrors(ParseResult parse) => [.. _worker.UsageErrors(parse, _noWorker), .. _settings.UsageErrors(parse), .. OwnErrors(parse)];

    private IEnumerable<string> OwnErrors(ParseResult parse)
    {
        string listen = parse.GetRequiredValue(_listen);
        (IPEndPoint? address, string? error) = ServeOptions.Parse(listen);
        if (error is not null)
            yield return error;
        else if (!IPAddress.IsLoopback(address!.Address) && !parse.GetValue(_insecure))
            yield return $"--listen {listen} is reachable from other machines, and HTTP shows every token to the network: put a proxy that speaks TLS before it, or say --insecure-http.";
        foreach (string folder in parse.GetValue(_models) ?? [])
        {
            if (!Directory.Exists(folder))
                yield return $"--models {folder}: there is no such folder.";
        }
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        NativeHeap.Share();
        DataFolder.KeepPrivate();
        IPEndPoint listen = ServeOptions.Parse(parse.GetRequiredValue(_listen)).Address!;
        string data = DataPath.Resolve(parse.GetValue(_data));
        ServeSettings.Values settings = _settings.Read(parse, data);
        bool started = false, isFirst = !File.Exists(Path.Combine(data, Client.Credentials.FileName));
        await using WebApplication app = HoneServer.Build(new HoneServerOptions
        {
            Listen = listen,
            Core = new HoneCoreOptions { DataFolder = data, ModelFolders = [.. (parse.GetValue(_models) ?? []).Select(Path.GetFullPath)], Limits = settings.Core },
            RateLimit = settings.Rate,
            AllowedOrigins = settings.Origins,
            LogLevel = parse.GetValue(_quiet) ? LogLevel.Warning : LogLevel.Information,
            Services = services =>
            {
                // A start that fails is explained in one line, below; the host would log its stack as well.
                services.Configure<LoggerFilterOptions>(filters => filters.AddFilter("Microsoft.Extensions.Hosting.Internal.Host", level => started && level >= LogLevel.Warning));
                services.AddSingleton<IHostLifetime, CommandLifetime>();
                services.AddHostedService(provider => new FirstAccount(provider.GetRequiredService<FirstRun>(), $"http://{listen}"));
                if (!parse.GetValue(_noWorker))
                    services.AddHoneWorker(_worker.Read(parse, data));
            },
        });
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, app.Lifetime.ApplicationStopping);
        if (parse.GetValue(_untilInputEnds))
            _ = StandardInput.WhenItEndsAsync(() => stop.CancelAsync());
        // Asked first for the better message: a server that runs here has a worker, too.
        app.Services.GetRequiredService<DataFolder>().Lock().Dispose();
        using IDisposable? worker = parse.GetValue(_noWorker) ? null : WorkerLock.Take(app.Services.GetRequiredService<DataFolder>());
        try
        {
            await app.StartAsync(stop.Token);
            started = true;
        }
        catch (IOException taken) when (taken is not StorageException && taken.GetBaseException() is SocketException or IOException)
        {
            throw NotListening(listen, taken);
        }
        catch (SocketException refused)
        {
            throw NotListening(listen, refused);
        }
        foreach (string refused in await app.Services.GetRequiredService<ModelCatalog>().AddFoldersAsync(stop.Token))
            terminal.Note("warning: " + refused);
        if (ModelCatalog.FindEmbedded() is null)
            terminal.Note($"warning: the file of {ModelCatalog.EmbeddedId} is missing; it belongs in the folder models beside or above the program, {AppContext.BaseDirectory}.");
        string url = UrlOf(app);
        Core.Accounts.Credentials? credentials = await app.Services.GetRequiredService<FirstRun>().EnsureCredentialsAsync(url, stop.Token);
        Announce(terminal, parse.GetValue(_json), url, data, credentials, isFirst);
        try
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, stop.Token);
        }
        catch (OperationCanceledException)
        {
        }
        bool asked = cancellationToken.IsCancellationRequested || !app.Lifetime.ApplicationStopping.IsCancellationRequested;
        await app.StopAsync(CancellationToken.None);
        return asked ? 0 : throw new CliException("The server stopped by itself.", "its log above says why.");
    }

    /// <param name="isFirst">The token is new: said once, so that no journal has it of every start.</param>
    private static void Announce(Terminal terminal, bool json, string url, string data, Core.Accounts.Credentials? credentials, bool isFirst)
    {
        if (json)
        {
            terminal.Line(JsonSerializer.Serialize(
                new Client.Credentials { Url = url, AccountId = credentials?.AccountId ?? "", Token = credentials?.Token ?? "", Email = credentials?.Email, Key = credentials?.Key }, HoneJson.Default.Credentials));
            terminal.Output.Flush();
            return;
        }
        terminal.Line($"Hone listens on {url}; its data is in {data}");
        terminal.Line($"API reference: {url}/docs");
        terminal.Line();
        terminal.Line("Official Cloudflare clients need:");
        terminal.Line($"  export CLOUDFLARE_BASE_URL={url}/client/v4");
        terminal.Line(credentials is null
            ? "  export CLOUDFLARE_API_TOKEN=…     (`hone tokens create` makes one; this data folder has no credentials.json)"
            : isFirst ? $"  export CLOUDFLARE_API_TOKEN={credentials.Token}" : "  export CLOUDFLARE_API_TOKEN=…     (credentials.json has it)");
        if (credentials is not null)
            terminal.Line($"The account is {credentials.AccountId}; {Path.Combine(data, Client.Credentials.FileName)} holds all of it.");
        terminal.Output.Flush();
    }

    private static string UrlOf(WebApplication app)
    {
        string address = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        return ServeOptions.UrlOf(ServeOptions.Parse(address).Address!);
    }

    private static CliException NotListening(IPEndPoint listen, Exception cause)
        => cause.GetBaseException() is SocketException { SocketErrorCode: SocketError.AccessDenied }
            ? new CliException($"{listen} cannot be listened on: this user may not.", "choose a port above 1023 with --listen.", cause)
            : new CliException($"{listen} cannot be listened on: {cause.GetBaseException().Message.TrimEnd('.')}.", "another program may have the port: choose another with --listen, or port 0 for a free one.", cause);
}

/// <summary>Makes an empty folder's account before the port is open: whoever reads the credentials file may call at once.</summary>
internal sealed class FirstAccount(FirstRun firstRun, string url) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken) => firstRun.EnsureCredentialsAsync(url, cancellationToken);

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
