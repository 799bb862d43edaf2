using System.CommandLine;
using Hone.Client;
using Hone.Terminals;

namespace Hone.Commands.Finetunes;

internal sealed class UploadCommand : CliCommand
{
    private readonly Argument<string> _name = FinetuneGroup.NameArgument();
    private readonly Argument<string[]> _files = new("files") { Description = "Files, or a folder with files of these names.", HelpName = "FILE", Arity = ArgumentArity.OneOrMore };
    private readonly Option<string?> _as = new("--as") { Description = "The name it gets there, when it is another than its own: training_data.jsonl …", HelpName = "NAME" };
    private readonly ConnectionOptions _connection;

    public UploadCommand() : base("upload",
        $"Uploads assets: {string.Join(", ", Uploads.Names)}. Training data starts the training; an adapter's two files make the finetune ready.",
        "hone finetune upload triage support.jsonl --as training_data.jsonl", "hone finetune upload mine ./my-peft-adapter")
    {
        Arguments.Add(_name);
        Arguments.Add(_files);
        Options.Add(_as);
        _connection = new ConnectionOptions(this);
    }

    public override IEnumerable<string> UsageErrors(ParseResult parse)
    {
        if (parse.GetValue(_as) is not null && parse.GetRequiredValue(_files).Length > 1)
            yield return "--as names one file; upload them one at a time.";
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        List<AssetFile> files = [];
        foreach (string path in parse.GetRequiredValue(_files))
        {
            if (Directory.Exists(path))
            {
                files.AddRange(InFolder(path));
                continue;
            }
            InputFile.MustExist(path, "nothing was uploaded; check the path.");
            files.Add(new AssetFile(parse.GetValue(_as) ?? Path.GetFileName(path), path));
        }
        using HoneClient client = _connection.Open(parse);
        foreach (AssetFile file in files.OrderBy(file => Array.IndexOf(Uploads.Names, file.Name)))
        {
            if (await Uploads.SendAsync(client, parse.GetRequiredValue(_name), file, terminal, quiet: false, cancellationToken) is var code and not 0)
                return code;
        }
        return 0;
    }

    private static List<AssetFile> InFolder(string folder)
    {
        List<AssetFile> found = [.. Uploads.Names.Select(name => new AssetFile(name, Path.Combine(folder, name))).Where(file => File.Exists(file.Path))];
        return found.Count > 0
            ? found
            : throw new CliException($"The folder {folder} has none of the files that a finetune takes.", $"they are named {string.Join(", ", Uploads.Names)}.");
    }
}
