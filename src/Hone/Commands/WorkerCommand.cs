using System.CommandLine;
using Hone.Client;
using Hone.Core;
using Hone.Core.Scheduling;
using Hone.Core.Store;
using Hone.Terminals;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Hone.Commands;

internal sealed class WorkerCommand : CliCommand
{
    private readonly Option<string?> _data = new("--data") { Description = "Data folder. Default: HONE_DATA, then ~/.local/share/hone.", HelpName = "DIR" };
    private readonly WorkerOptions _worker = new();

    public WorkerCommand() : base("worker", "Trains the jobs of a data folder, beside a `hone serve --no-worker` on the same machine.",
        "hone worker", "hone worker --data ./hone-data --slots 2 --threads 8 --memory-limit 12G")
    {
        Options.Add(_data);
        _worker.AddTo(this);
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        DataFolder.KeepPrivate();
        string data = DataPath.Resolve(parse.GetValue(_data));
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { ApplicationName = "Hone.Worker" });
        builder.Logging.SetMinimumLevel(LogLevel.Information).AddFilter("Microsoft", LogLevel.Warning)
            .AddSimpleConsole(console =>
            {
                console.SingleLine = true;
                console.TimestampFormat = "HH:mm:ss.fff ";
                console.UseUtcTimestamp = true;
            })
            .Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        builder.Services.AddHoneCore(new HoneCoreOptions { DataFolder = data });
        builder.Services.AddHoneWorker(_worker.Read(parse, data));
        builder.Services.AddSingleton<IHostLifetime, CommandLifetime>();
        using IHost host = builder.Build();
        var folder = host.Services.GetRequiredService<DataFolder>();
        if (!File.Exists(folder.DatabasePath))
            throw new CliException($"{data} is not a data folder: it has no {Path.GetFileName(folder.DatabasePath)}.", "`hone serve --no-worker` makes one; --data or HONE_DATA names another.");
        using IDisposable only = WorkerLock.Take(folder);
        await host.Services.GetRequiredService<HoneStore>().RequireVersionAsync(cancellationToken);
        await host.StartAsync(cancellationToken);
        terminal.Line($"Hone trains what {data} has to train");
        await terminal.Output.FlushAsync(cancellationToken);
        bool failed = false;
        try
        {
            await host.WaitForShutdownAsync(cancellationToken);
            failed = !cancellationToken.IsCancellationRequested;
        }
        catch (OperationCanceledException)
        {
        }
        await host.StopAsync(CancellationToken.None);
        return failed ? throw new CliException("The worker stopped by itself.", "its log above says why.") : 0;
    }
}
