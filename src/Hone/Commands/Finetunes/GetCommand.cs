using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Hone.Client;
using Hone.Terminals;

namespace Hone.Commands.Finetunes;

internal sealed class GetCommand : CliCommand
{
    private readonly Argument<string> _name = FinetuneGroup.NameArgument();
    private readonly Option<bool> _json = FinetuneGroup.JsonOption();
    private readonly ConnectionOptions _connection;

    public GetCommand() : base("get", "Shows one finetune: its status, its metrics, why it failed, its files.",
        "hone finetune get triage", "hone finetune get triage --json")
    {
        Arguments.Add(_name);
        Options.Add(_json);
        _connection = new ConnectionOptions(this);
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        using HoneClient client = _connection.Open(parse);
        string name = parse.GetRequiredValue(_name);
        if (parse.GetValue(_json))
        {
            terminal.Json(await client.GetFinetuneAsync(name, HoneJson.Default.JsonElement, cancellationToken));
            return 0;
        }
        Finetune finetune = await client.GetFinetuneAsync(name, cancellationToken);
        var facts = new List<string[]>
        {
            new[] { "name", finetune.Name },
            new[] { "id", finetune.Id },
            new[] { "model", finetune.Model },
            new[] { "status", finetune.Status },
            new[] { "public", finetune.Public ? "yes" : "no" },
            new[] { "created", finetune.CreatedAt.ToString("u", CultureInfo.InvariantCulture) },
        };
        if (finetune.Description is { Length: > 0 } description)
            facts.Add(["description", description]);
        if (finetune.Error is { ValueKind: JsonValueKind.Object } error)
            facts.Add(["error", error.TryGetProperty("message", out JsonElement message) ? message.ToString() : error.ToString()]);
        if (finetune.Metrics is { ValueKind: JsonValueKind.Object } metrics)
            facts.AddRange(metrics.EnumerateObject().Where(m => m.Value.ValueKind != JsonValueKind.Null).Select(m => new[] { m.Name, m.Value.ToString() }));
        foreach (FinetuneAsset asset in await client.ListAssetsAsync(finetune.Id, cancellationToken))
            facts.Add(["file", $"{asset.FileName} ({Sizes.Text(asset.Size)})"]);
        terminal.Facts(facts);
        return 0;
    }
}
