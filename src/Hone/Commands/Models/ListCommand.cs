using System.CommandLine;
using Hone.Client;
using Hone.Terminals;

namespace Hone.Commands.Models;

internal sealed class ListCommand : CliCommand
{
    private readonly Option<bool> _json = new("--json") { Description = "Print the API's JSON." };
    private readonly ConnectionOptions _connection;

    public ListCommand() : base("list", "Lists the base models that the server offers.",
        "hone models list", "hone models list --json | jq -r '.[].name'")
    {
        Options.Add(_json);
        _connection = new ConnectionOptions(this);
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        using HoneClient client = _connection.Open(parse);
        if (parse.GetValue(_json))
            terminal.Json(await client.ListModelsAsync(HoneJson.Default.JsonElementArray, cancellationToken));
        else
            terminal.Table(["MODEL", "DESCRIPTION"], [.. (await client.ListModelsAsync(HoneJson.Default.ModelArray, cancellationToken)).Select(m => new[] { m.Name, m.Description ?? "" })]);
        return 0;
    }
}
