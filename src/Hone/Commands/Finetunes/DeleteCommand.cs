using System.CommandLine;
using Hone.Client;
using Hone.Terminals;

namespace Hone.Commands.Finetunes;

internal sealed class DeleteCommand : CliCommand
{
    private readonly Argument<string> _name = FinetuneGroup.NameArgument();
    private readonly Option<bool> _json = FinetuneGroup.JsonOption();
    private readonly ConnectionOptions _connection;

    public DeleteCommand() : base("delete", "Deletes a finetune with its data and its adapter. There is no way back.",
        "hone finetune delete triage", "hone finetune delete triage --json")
    {
        Arguments.Add(_name);
        Options.Add(_json);
        _connection = new ConnectionOptions(this);
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        using HoneClient client = _connection.Open(parse);
        var answer = await client.DeleteFinetuneAsync(parse.GetRequiredValue(_name), cancellationToken);
        if (parse.GetValue(_json))
            terminal.Json(answer);
        else
            terminal.Line($"deleted {parse.GetRequiredValue(_name)}");
        return 0;
    }
}
