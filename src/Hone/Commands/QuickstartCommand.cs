using System.CommandLine;
using System.Text.Json;
using Hone.Quickstart;
using Hone.Terminals;

namespace Hone.Commands;

internal sealed class QuickstartCommand : CliCommand
{
    private readonly Option<DirectoryInfo?> _data = new("--data") { Description = "Data folder of the server, kept. Default: a new one in the temporary folder.", HelpName = "DIR" };
    private readonly Option<long> _seed = new("--seed") { Description = "The same seed on the same machine gives the same adapter, byte for byte.", HelpName = "N", DefaultValueFactory = _ => 1 };
    private readonly Option<FileInfo?> _config = new("--config") { Description = "A training_config.json. Default: every setting is left to Hone.", HelpName = "FILE" };
    private readonly Option<DirectoryInfo?> _examples = new("--examples") { Description = "A folder with train.jsonl, valid.jsonl and test.jsonl of your own.", HelpName = "DIR" };
    private readonly Option<bool> _keepServing = new("--keep-serving") { Description = "Leave the server running at the end, until Ctrl-C." };
    private readonly Option<bool> _json = new("--json") { Description = "End standard output with one line of JSON; the rest goes to standard error." };

    public QuickstartCommand() : base("quickstart",
        "Goes the whole way once: starts a server, fine-tunes the embedded base model on the example's rows over the HTTP API, and shows the answers before and after.",
        "hone quickstart", "hone quickstart --data ./hone-data --keep-serving")
    {
        foreach (Option option in new Option[] { _data, _seed, _config, _examples, _keepServing, _json })
            Options.Add(option);
    }

    public override IEnumerable<string> UsageErrors(ParseResult parse)
    {
        if (parse.GetValue(_config) is { } config && InputFile.Error(config.FullName) is { } wrong)
            yield return $"--config: {wrong}";
        if (parse.GetValue(_seed) < 0)
            yield return "--seed is 0 or more.";
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        bool json = parse.GetValue(_json);
        var options = new QuickstartOptions
        {
            DataFolder = parse.GetValue(_data)?.FullName,
            ExamplesFolder = parse.GetValue(_examples)?.FullName,
            ConfigFile = parse.GetValue(_config)?.FullName,
            Seed = parse.GetValue(_seed),
            KeepServing = parse.GetValue(_keepServing),
        };
        var run = new QuickstartRun(options, json ? new Terminal(terminal.Error, terminal.Error) : terminal, TimeProvider.System);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task parent = DotnetRun.WhenItEndsAsync(() => stop.CancelAsync(), stop.Token);
        QuickstartResult result;
        try
        {
            result = await run.RunAsync(stop.Token);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return Cli.Interrupted;
        }
        finally
        {
            await stop.CancelAsync();
            await Task.WhenAny(parent);
        }
        if (json)
            terminal.Line(JsonSerializer.Serialize(result, QuickstartJson.Default.QuickstartResult));
        return 0;
    }
}
