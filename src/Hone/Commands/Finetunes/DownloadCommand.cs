using System.CommandLine;
using Hone.Client;
using Hone.Formats.Adapters;
using Hone.Formats.Jobs;
using Hone.Terminals;

namespace Hone.Commands.Finetunes;

internal sealed class DownloadCommand : CliCommand
{
    private readonly Argument<string> _name = FinetuneGroup.NameArgument();
    private readonly Argument<string[]> _files = new("files") { Description = "Names of the files; none: the adapter and its report.", HelpName = "FILE", Arity = ArgumentArity.ZeroOrMore };
    private readonly Option<string?> _to = new("--to") { Description = "Folder to write to. Default: one of the finetune's name.", HelpName = "DIR" };
    private readonly Option<string> _format = new("--format") { Description = "peft, or gguf: llama.cpp's adapter.", HelpName = "FORMAT", DefaultValueFactory = _ => "peft" };
    private readonly Option<bool> _merged = new("--merged") { Description = "The base model with the adapter added to its weights, as safetensors in float32." };
    private readonly ConnectionOptions _connection;

    public DownloadCommand() : base("download", "Downloads the adapter (PEFT format) and its report, or the files that are named.",
        "hone finetune download triage --to ./triage-adapter", "hone finetune download triage --format gguf")
    {
        Arguments.Add(_name);
        Arguments.Add(_files);
        Options.Add(_to);
        _format.AcceptOnlyFromAmong("peft", "gguf");
        Options.Add(_format);
        Options.Add(_merged);
        _connection = new ConnectionOptions(this);
    }

    public override IEnumerable<string> UsageErrors(ParseResult parse)
    {
        bool gguf = parse.GetValue(_format) == "gguf", merged = parse.GetValue(_merged);
        if (gguf && merged)
            yield return "--merged writes safetensors; leave --format out.";
        if (parse.GetValue(_files)?.FirstOrDefault(file => file.StartsWith("--", StringComparison.Ordinal)) is { } option)
            yield return $"There is no option {option}.";
        if ((gguf || merged) && parse.GetValue(_files) is { Length: > 0 })
            yield return "Name files, or a form of the adapter, not both.";
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        string name = parse.GetRequiredValue(_name);
        string[] wanted = parse.GetValue(_files) ?? [];
        using HoneClient client = _connection.Open(parse);
        Finetune finetune = await client.GetFinetuneAsync(name, cancellationToken);
        string folder = parse.GetValue(_to) ?? SafeName(finetune.Name);
        if (File.Exists(folder))
            throw new CliException($"{folder} is a file.", "name the folder to write to with --to.");
        if (Export(parse) is { } export)
        {
            if (finetune.Status != "ready")
                throw NoAdapter(finetune);
            string target = Path.Combine(folder, export);
            Directory.CreateDirectory(folder);
            await client.DownloadAssetAsync(finetune.Id, new FinetuneAsset { FileName = export }, target, cancellationToken);
            terminal.Line(target);
            return 0;
        }
        foreach (string path in await FetchAsync(client, finetune, wanted, folder, cancellationToken))
            terminal.Line(path);
        return 0;
    }

    /// <param name="wanted">None: all that training made or that makes up the adapter.</param>
    /// <returns>The paths written.</returns>
    public static async Task<IReadOnlyList<string>> FetchAsync(
        HoneClient client, Finetune finetune, IReadOnlyCollection<string> wanted, string folder, CancellationToken cancellationToken)
    {
        FinetuneAsset[] assets = await client.ListAssetsAsync(finetune.Id, cancellationToken);
        if (wanted.FirstOrDefault(file => assets.All(asset => asset.FileName != file)) is { } missing)
            throw new CliException($"{finetune.Name} has no file {missing}.", $"it has {(assets.Length == 0 ? "none" : string.Join(", ", assets.Select(asset => asset.FileName)))}.");
        FinetuneAsset[] chosen = [.. assets.Where(asset => wanted.Count > 0
            ? wanted.Contains(asset.FileName)
            : asset.FileName.StartsWith("adapter_", StringComparison.Ordinal) || asset.FileName.StartsWith("report.", StringComparison.Ordinal)
                || asset.FileName.StartsWith("curves.", StringComparison.Ordinal) || asset.FileName is "rows.jsonl" or JobFiles.StepMetrics)];
        if (chosen.Length == 0)
            throw NoAdapter(finetune);
        Directory.CreateDirectory(folder);
        var written = new List<string>();
        foreach (FinetuneAsset asset in chosen)
        {
            string path = Path.Combine(folder, SafeName(asset.FileName));
            await client.DownloadAssetAsync(finetune.Id, asset, path, cancellationToken);
            written.Add(path);
        }
        return written;
    }

    private string? Export(ParseResult parse) =>
        parse.GetValue(_merged) ? AdapterExport.MergedFileName : parse.GetValue(_format) == "gguf" ? AdapterExport.GgufFileName : null;

    private static CliException NoAdapter(Finetune finetune) => finetune.Ended
        ? new($"{finetune.Name} is {finetune.Status} and has no adapter.", $"`hone finetune get {finetune.Name}` shows all that is known.")
        : new($"{finetune.Name} is {finetune.Status} and has no adapter yet.", $"`hone finetune watch {finetune.Name}` follows it to its end.");

    /// <summary>A name that comes from a server never leaves the folder.</summary>
    private static string SafeName(string name)
    {
        string safe = string.Concat(name.Select(c => c is '/' or '\\' || char.IsControl(c) ? '_' : c));
        return safe.Trim('.', ' ') is { Length: > 0 } trimmed ? trimmed : "finetune";
    }
}
