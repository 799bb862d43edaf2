using System.CommandLine;
using Hone.Client;
using Hone.Terminals;

namespace Hone.Commands.Finetunes;

internal sealed class CreateCommand : CliCommand
{
    private readonly Argument<string> _model = new("model") { Description = "Id of the base model; `hone models list` shows them.", HelpName = "MODEL" };
    private readonly Argument<string> _name = new("name") { Description = "A name, unique in the account.", HelpName = "NAME" };
    private readonly Option<string?> _description = new("--description") { Description = "What it is for.", HelpName = "TEXT" };
    private readonly Option<bool> _public = new("--public") { Description = "Other accounts may use it." };
    private readonly Option<FileInfo?> _train = new("--train") { Description = "Upload this as training_data.jsonl, which starts the training.", HelpName = "FILE" };
    private readonly Option<FileInfo?> _validation = new("--validation") { Description = "Upload this as validation_data.jsonl before.", HelpName = "FILE" };
    private readonly Option<FileInfo?> _config = new("--config") { Description = "Upload this as training_config.json before.", HelpName = "FILE" };
    private readonly Option<DirectoryInfo?> _adapter = new("--adapter") { Description = "Upload the PEFT adapter of this folder instead of training one.", HelpName = "DIR" };
    private readonly Option<bool> _watch = new("--watch") { Description = "Follow the training to its end." };
    private readonly Option<bool> _json = FinetuneGroup.JsonOption();
    private readonly ConnectionOptions _connection;

    public CreateCommand() : base("create", "Creates a finetune; with --train it also uploads the data, which starts the training.",
        "hone finetune create @cf/huggingfacetb/smollm2-135m-instruct triage --train train.jsonl --validation valid.jsonl --watch",
        "hone finetune create @cf/huggingfacetb/smollm2-135m-instruct mine --adapter ./my-peft-adapter")
    {
        Arguments.Add(_model);
        Arguments.Add(_name);
        foreach (Option option in new Option[] { _description, _public, _train, _validation, _config, _adapter, _watch, _json })
            Options.Add(option);
        _connection = new ConnectionOptions(this);
    }

    public override IEnumerable<string> UsageErrors(ParseResult parse)
    {
        bool data = parse.GetValue(_train) is not null;
        if (data && parse.GetValue(_adapter) is not null)
            yield return "--train and --adapter exclude each other: an adapter is either trained or brought.";
        if (!data && ((parse.GetValue(_validation) ?? parse.GetValue(_config)) is not null || parse.GetValue(_watch)))
            yield return "--validation, --config and --watch go with --train.";
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        List<AssetFile> files = [];
        Plan(files, "training_config.json", parse.GetValue(_config)?.FullName);
        Plan(files, "validation_data.jsonl", parse.GetValue(_validation)?.FullName);
        Plan(files, "training_data.jsonl", parse.GetValue(_train)?.FullName);
        if (parse.GetValue(_adapter) is { } adapter)
        {
            Plan(files, "adapter_config.json", Path.Combine(adapter.FullName, "adapter_config.json"));
            Plan(files, "adapter_model.safetensors", Path.Combine(adapter.FullName, "adapter_model.safetensors"));
        }

        using HoneClient client = _connection.Open(parse);
        bool json = parse.GetValue(_json);
        Finetune finetune = await client.CreateFinetuneAsync(
            new CreateFinetune(parse.GetRequiredValue(_model), parse.GetRequiredValue(_name), parse.GetValue(_description), parse.GetValue(_public)), cancellationToken);
        if (!json)
            terminal.Line($"created {finetune.Name} ({finetune.Id})");
        foreach (AssetFile file in files)
        {
            if (await Uploads.SendAsync(client, finetune.Id, file, terminal, quiet: json, cancellationToken) is var code and not 0)
            {
                // What is stored cannot be replaced: a config that its weights do not fit stays.
                terminal.Note(parse.GetValue(_adapter) is not null ? $"hint: mend it, `hone finetune delete {finetune.Name}`, and create it again."
                    : $"hint: mend it, then `hone finetune upload {finetune.Name} …`, or `hone finetune delete {finetune.Name}`.");
                return code;
            }
        }
        int outcome = parse.GetValue(_watch) ? await WatchCommand.FollowAsync(client, finetune.Id, terminal, json, cancellationToken) : 0;
        if (json && !parse.GetValue(_watch))
            terminal.Json(await client.GetFinetuneAsync(finetune.Id, HoneJson.Default.JsonElement, cancellationToken));
        else if (!json && !parse.GetValue(_watch))
            terminal.Note(files.Count == 0
                ? $"next: `hone finetune upload {finetune.Name} training_data.jsonl` starts the training."
                : $"next: `hone finetune watch {finetune.Name}`");
        return outcome;
    }

    private static void Plan(List<AssetFile> files, string name, string? path)
    {
        if (path is null)
            return;
        InputFile.MustExist(path, "nothing was created; check the path.");
        files.Add(new AssetFile(name, path));
    }
}
