using System.CommandLine;
using Hone.Commands.Admin;
using Hone.Core.Models;
using Hone.Terminals;

namespace Hone.Commands.Models;

internal sealed class RemoveCommand : CliCommand
{
    private readonly Argument<string> _id = new("id") { Description = "The model's id.", HelpName = "ID" };
    private readonly Option<string?> _data = AdminGroups.Data();

    public RemoveCommand() : base("remove", "Takes a base model out of the data folder's list; its file stays. Works beside a running server.",
        "hone models remove @local/llama", "hone models remove @cf/qwen/qwen2.5-0.5b-instruct --data ./hone-data")
    {
        Arguments.Add(_id);
        Options.Add(_data);
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        string id = parse.GetRequiredValue(_id);
        if (id == ModelCatalog.EmbeddedId)
            throw new CliException($"{id} is the embedded model and stays.");
        await using LocalStore store = await LocalStore.OpenAsync(parse.GetValue(_data), create: false, cancellationToken);
        if (!await store.Get<ModelCatalog>().RemoveAsync(id, cancellationToken))
            throw new CliException($"There is no model {id}.", "`hone models list` shows those that are.");
        terminal.Line($"removed {id}");
        return 0;
    }
}
