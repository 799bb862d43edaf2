using System.CommandLine;
using System.Text.Json;
using Hone.Client;
using Hone.Terminals;

namespace Hone.Commands.Finetunes;

internal sealed class WatchCommand : CliCommand
{
    private readonly Argument<string> _name = FinetuneGroup.NameArgument();
    private readonly Option<bool> _json = new("--json") { Description = "Print each event as a line of JSON." };
    private readonly ConnectionOptions _connection;

    public WatchCommand() : base("watch", "Follows a finetune's events to its end. The exit code is 0 when it became ready, 1 otherwise.",
        "hone finetune watch triage", "hone finetune watch triage --json | jq -c 'select(.type == \"metrics\") | .data.loss'")
    {
        Arguments.Add(_name);
        Options.Add(_json);
        _connection = new ConnectionOptions(this);
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        using HoneClient client = _connection.Open(parse);
        return await FollowAsync(client, parse.GetRequiredValue(_name), terminal, parse.GetValue(_json), cancellationToken);
    }

    public static async Task<int> FollowAsync(HoneClient client, string name, Terminal terminal, bool json, CancellationToken cancellationToken)
    {
        Finetune finetune = await client.GetFinetuneAsync(name, cancellationToken);
        if (finetune.Status == "awaiting_assets")
            throw new CliException($"{finetune.Name} waits for its files; nothing happens before.", $"`hone finetune upload {finetune.Name} training_data.jsonl` starts the training.");
        IAsyncEnumerable<FinetuneEvent> events = client.WatchEventsAsync(finetune.Id, 0, cancellationToken);
        try
        {
            if (json)
            {
                await foreach (FinetuneEvent happened in events)
                    terminal.Line(JsonSerializer.Serialize(happened, HoneJson.Default.FinetuneEvent));
            }
            else
            {
                await TrainingProgress.ShowAsync(terminal, events, TimeProvider.System);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            terminal.Note($"{finetune.Name} goes on without you; `hone finetune watch {finetune.Name}` comes back to it.");
            throw;
        }
        finetune = await client.GetFinetuneAsync(finetune.Id, cancellationToken);
        return finetune.Status == "ready" ? 0 : throw Outcome(finetune);
    }

    public static CliException Outcome(Finetune finetune)
    {
        string? why = finetune.Error is { ValueKind: JsonValueKind.Object } error && error.TryGetProperty("message", out JsonElement message) ? message.GetString() : null;
        return finetune.Status == "cancelled"
            ? new CliException($"{finetune.Name} was cancelled.")
            : new CliException($"{finetune.Name} {finetune.Status}: {why ?? "the server did not say why"}", $"`hone finetune get {finetune.Name}` shows all that is known.");
    }
}
