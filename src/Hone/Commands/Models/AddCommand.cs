using System.CommandLine;
using Hone.Commands.Admin;
using Hone.Core.Models;
using Hone.Terminals;

namespace Hone.Commands.Models;

internal sealed class AddCommand : CliCommand
{
    private readonly Argument<string> _path = new("path") { Description = "A GGUF file, or a folder with a Hugging Face model. It stays where it is.", HelpName = "PATH" };
    private readonly Option<string?> _id = new("--id") { Description = "The id that clients use. Default: @local/ and the file's or folder's name.", HelpName = "ID" };
    private readonly Option<string?> _data = AdminGroups.Data();

    public AddCommand() : base("add", "Offers a GGUF file or a Hugging Face folder as a base model. Works directly on the data folder, beside a running server.",
        "hone models add ./Qwen2.5-0.5B-Instruct-Q8_0.gguf", "hone models add /srv/models/Llama-3.2-1B-Instruct --id @cf/meta/llama-3.2-1b-instruct --data ./hone-data")
    {
        Arguments.Add(_path);
        Options.Add(_id);
        Options.Add(_data);
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        await using LocalStore store = await LocalStore.OpenAsync(parse.GetValue(_data), create: true, cancellationToken);
        switch (await store.Get<ModelCatalog>().AddAsync(parse.GetRequiredValue(_path), parse.GetValue(_id), cancellationToken))
        {
            case AddModelResult.Added added:
                terminal.Line($"added {added.Model.Id}");
                return 0;
            case AddModelResult.Refused refused:
                throw new CliException(string.Join(' ', refused.Errors));
            case var other:
                throw new InvalidOperationException($"Unknown result {other}.");
        }
    }
}
