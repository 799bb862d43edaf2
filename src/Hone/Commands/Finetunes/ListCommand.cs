using System.CommandLine;
using System.Globalization;
using Hone.Client;
using Hone.Terminals;

namespace Hone.Commands.Finetunes;

internal sealed class ListCommand : CliCommand
{
    private readonly Option<bool> _json = FinetuneGroup.JsonOption();
    private readonly ConnectionOptions _connection;

    public ListCommand() : base("list", "Lists the account's finetunes with their status.",
        "hone finetune list", "hone finetune list --json | jq -r '.[] | select(.status == \"ready\") | .name'")
    {
        Options.Add(_json);
        _connection = new ConnectionOptions(this);
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        using HoneClient client = _connection.Open(parse);
        if (parse.GetValue(_json))
        {
            terminal.Json(await client.ListFinetunesAsync(HoneJson.Default.JsonElementArray, cancellationToken));
            return 0;
        }
        Finetune[] finetunes = await client.ListFinetunesAsync(cancellationToken);
        if (finetunes.Length == 0)
            terminal.Note("No finetunes yet. `hone finetune create MODEL NAME --train FILE` makes one.");
        else
            terminal.Table(["NAME", "STATUS", "MODEL", "CREATED", "ID"], [.. finetunes.Select(f => new[]
            {
                f.Name, f.Status, f.Model, f.CreatedAt.ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture), f.Id,
            })]);
        return 0;
    }
}
