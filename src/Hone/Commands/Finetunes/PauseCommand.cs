using System.CommandLine;
using System.Text.Json;
using Hone.Client;
using Hone.Terminals;

namespace Hone.Commands.Finetunes;

/// <summary><c>pause</c> and <c>resume</c>.</summary>
internal abstract class HoldCommand : CliCommand
{
    private readonly Argument<string> _name = FinetuneGroup.NameArgument();
    private readonly Option<bool> _json = FinetuneGroup.JsonOption();
    private readonly ConnectionOptions _connection;

    protected HoldCommand(string verb, string description) : base(verb, description, $"hone finetune {verb} triage", $"hone finetune {verb} 6f3b0b7e-0c1d-4c2a-9f0e-1f2a3b4c5d6e --json")
    {
        Arguments.Add(_name);
        Options.Add(_json);
        _connection = new ConnectionOptions(this);
    }

    protected abstract Task<JsonElement> AskAsync(HoneClient client, string name, CancellationToken cancellationToken);

    protected abstract string Told(JsonElement answer);

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        using HoneClient client = _connection.Open(parse);
        string name = parse.GetRequiredValue(_name);
        JsonElement answer = await AskAsync(client, name, cancellationToken);
        if (parse.GetValue(_json))
            terminal.Json(answer);
        else
            terminal.Line($"{Told(answer)} {name}");
        return 0;
    }
}

internal sealed class PauseCommand() : HoldCommand("pause", "Holds a job back. A running one ends its step, writes a checkpoint and leaves the machine; resume goes on from there, to the same bytes.")
{
    protected override Task<JsonElement> AskAsync(HoneClient client, string name, CancellationToken cancellationToken) => client.PauseFinetuneAsync(name, cancellationToken);

    protected override string Told(JsonElement answer) => answer.GetProperty("status").ValueEquals("paused") ? "paused" : "pausing after its step:";
}

internal sealed class ResumeCommand() : HoldCommand("resume", "Queues a paused job, which goes on from its checkpoint.")
{
    protected override Task<JsonElement> AskAsync(HoneClient client, string name, CancellationToken cancellationToken) => client.ResumeFinetuneAsync(name, cancellationToken);

    protected override string Told(JsonElement answer) => "resumed";
}
