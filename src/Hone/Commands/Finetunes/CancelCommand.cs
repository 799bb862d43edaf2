using System.CommandLine;
using Hone.Client;
using Hone.Terminals;

namespace Hone.Commands.Finetunes;

internal sealed class CancelCommand : CliCommand
{
    private readonly Argument<string> _name = FinetuneGroup.NameArgument();
    private readonly Option<bool> _json = FinetuneGroup.JsonOption();
    private readonly ConnectionOptions _connection;

    public CancelCommand() : base("cancel", "Stops a finetune that has not ended. Its trainer is killed; nothing is published.",
        "hone finetune cancel triage", "hone finetune cancel 6f3b0b7e-0c1d-4c2a-9f0e-1f2a3b4c5d6e --json")
    {
        Arguments.Add(_name);
        Options.Add(_json);
        _connection = new ConnectionOptions(this);
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        using HoneClient client = _connection.Open(parse);
        var answer = await client.CancelFinetuneAsync(parse.GetRequiredValue(_name), cancellationToken);
        if (parse.GetValue(_json))
            terminal.Json(answer);
        else
            terminal.Line($"cancelled {parse.GetRequiredValue(_name)}");
        return 0;
    }
}
