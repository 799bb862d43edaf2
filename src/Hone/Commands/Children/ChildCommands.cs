using System.CommandLine;
using Hone.Terminals;
using Hone.Training;

namespace Hone.Commands.Children;

/// <summary>
/// A child of the server with native code in it. What it has to say about its work it says in its protocol; anything that escapes is a crash: the whole
/// exception on standard error, and an exit code that is neither success nor an explained failure.
/// </summary>
internal abstract class ChildCommand(string name, string description, params string[] examples) : CliCommand(name, description, examples)
{
    private const int Crashed = 70;

    protected abstract Task<int> WorkAsync(ParseResult parse, CancellationToken cancellationToken);

    protected override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        try
        {
            return await WorkAsync(parse, cancellationToken);
        }
        catch (Exception fault) when (fault is not OperationCanceledException)
        {
            terminal.Note(fault.ToString());
            return Crashed;
        }
    }
}

internal sealed class TrainChild : ChildCommand
{
    private readonly Argument<string> _folder = new("jobdir") { Description = "Folder with job.json.", HelpName = "JOBDIR" };

    public TrainChild() : base("train", "One attempt at one job: reads JOBDIR/job.json, writes events as lines of JSON and the adapter into the folder. Ends when standard input ends.",
        "hone train ./job", "hone train ./job < /dev/tty | jq -c 'select(.type == \"step\")'")
    {
        Hidden = true;
        Arguments.Add(_folder);
    }

    protected override Task<int> WorkAsync(ParseResult parse, CancellationToken cancellationToken) => TrainCommand.RunAsync(parse.GetRequiredValue(_folder), cancellationToken);
}

internal sealed class ProveChild : ChildCommand
{
    private readonly Argument<string> _folder = new("jobdir") { Description = "Folder that `hone train` has worked in.", HelpName = "JOBDIR" };

    public ProveChild() : base("prove", "Loads the adapter that `hone train` left in JOBDIR afresh and compares its logits with the trainer's and the base's. Ends when standard input ends.",
        "hone prove ./job", "hone prove ./job < /dev/tty")
    {
        Hidden = true;
        Arguments.Add(_folder);
    }

    protected override Task<int> WorkAsync(ParseResult parse, CancellationToken cancellationToken) => ProveCommand.RunAsync(parse.GetRequiredValue(_folder), cancellationToken);
}

internal sealed class EngineChild : ChildCommand
{
    private readonly Argument<string> _model = new("model") { Description = "The base model's GGUF file.", HelpName = "MODEL" };
    private readonly Option<string> _socket = new("--socket") { Description = "Unix socket to listen on.", HelpName = "PATH", Required = true };
    private readonly Option<int?> _threads = new("--threads") { Description = "Threads of the tensor library. Default: all cores.", HelpName = "N" };

    public EngineChild() : base("engine", "Holds one base model and many adapters and generates over a Unix socket. Ends when standard input ends.",
        "hone engine models/SmolLM2-135M-Instruct.Q4_1.gguf --socket /tmp/engine.sock", "hone engine model.gguf --socket /tmp/engine.sock --threads 4")
    {
        Hidden = true;
        Arguments.Add(_model);
        Options.Add(_socket);
        Options.Add(_threads);
    }

    protected override Task<int> WorkAsync(ParseResult parse, CancellationToken cancellationToken)
        => EngineCommand.RunAsync(parse.GetRequiredValue(_model), parse.GetRequiredValue(_socket), parse.GetValue(_threads), cancellationToken);
}
