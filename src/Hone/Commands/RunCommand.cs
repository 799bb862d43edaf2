using System.CommandLine;
using System.Text.Json;
using Hone.Client;
using Hone.Terminals;

namespace Hone.Commands;

internal sealed class RunCommand : CliCommand
{
    private readonly Argument<string> _model = new("model") { Description = "Id of the base model.", HelpName = "MODEL" };
    private readonly Argument<string?> _prompt = new("prompt") { Description = "What to answer; absent or -: standard input.", HelpName = "PROMPT", Arity = ArgumentArity.ZeroOrOne };
    private readonly Option<string?> _lora = new("--lora") { Description = "Name or id of a finetune of this model.", HelpName = "NAME" };
    private readonly Option<bool> _stream = new("--stream") { Description = "Print the answer as it is generated." };
    private readonly Option<string?> _system = new("--system") { Description = "A system message before the prompt.", HelpName = "TEXT" };
    private readonly Option<bool> _raw = new("--raw") { Description = "Give the prompt to the model without its chat template." };
    private readonly Option<int?> _maxTokens = new("--max-tokens") { Description = "Longest answer. Default: 256.", HelpName = "N" };
    private readonly Option<double?> _temperature = new("--temperature") { Description = "0 always takes the likeliest token.", HelpName = "T" };
    private readonly Option<long?> _seed = new("--seed") { Description = "Makes sampling repeatable.", HelpName = "N" };
    private readonly Option<bool> _json = new("--json") { Description = "Print the answer and its token counts as JSON." };
    private readonly ConnectionOptions _connection;

    public RunCommand() : base("run", "Asks a model, with a finetune's adapter where --lora names one.",
        "hone run @cf/huggingfacetb/smollm2-135m-instruct \"I was charged twice!\" --lora triage",
        "echo \"Why is the sky blue?\" | hone run @cf/huggingfacetb/smollm2-135m-instruct --stream")
    {
        Arguments.Add(_model);
        Arguments.Add(_prompt);
        foreach (Option option in new Option[] { _lora, _stream, _system, _raw, _maxTokens, _temperature, _seed, _json })
            Options.Add(option);
        _connection = new ConnectionOptions(this);
    }

    public override IEnumerable<string> UsageErrors(ParseResult parse)
    {
        if (parse.GetValue(_stream) && parse.GetValue(_json))
            yield return "--stream and --json exclude each other.";
        if (parse.GetValue(_raw) && parse.GetValue(_system) is not null)
            yield return "--raw and --system exclude each other: a system message needs the chat template.";
        if (parse.GetValue(_temperature) is { } temperature && !double.IsFinite(temperature))
            yield return $"--temperature {temperature}: a finite number is expected.";
    }

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        string? prompt = parse.GetValue(_prompt);
        if (prompt is null or "-")
        {
            if (prompt is null && !Console.IsInputRedirected)
                terminal.Note("reading the prompt from standard input; Ctrl-D ends it");
            // Reading cannot be called off: it is left behind where the command is to end.
            prompt = (await Task.Run(Console.In.ReadToEnd, cancellationToken).WaitAsync(cancellationToken)).TrimEnd('\n', '\r');
        }
        if (prompt.Length == 0)
            throw new CliException("The prompt is empty.", "give it as an argument or on standard input.");
        bool raw = parse.GetValue(_raw);
        string? system = parse.GetValue(_system);
        var request = new RunRequest
        {
            Prompt = raw ? prompt : null,
            Messages = raw ? null : system is null ? [new("user", prompt)] : [new("system", system), new("user", prompt)],
            Raw = raw ? true : null,
            Lora = parse.GetValue(_lora),
            MaxTokens = parse.GetValue(_maxTokens),
            Temperature = parse.GetValue(_temperature),
            Seed = parse.GetValue(_seed),
        };
        using HoneClient client = _connection.Open(parse);
        string model = parse.GetRequiredValue(_model);
        if (parse.GetValue(_stream))
        {
            await foreach (string piece in client.RunStreamAsync(model, request, cancellationToken))
            {
                await terminal.Output.WriteAsync(piece.AsMemory(), cancellationToken);
                await terminal.Output.FlushAsync(cancellationToken);
            }
            terminal.Line();
            return 0;
        }
        RunAnswer answer = await client.RunAsync(model, request, cancellationToken);
        terminal.Line(parse.GetValue(_json) ? JsonSerializer.Serialize(answer, HoneJson.Readable.RunAnswer) : answer.Response);
        return 0;
    }
}
