using System.CommandLine;

namespace Hone.Commands.Children;

/// <summary>The server's child; not in the list of commands.</summary>
internal sealed class EngineCommand : ChildCommand
{
    private readonly Argument<string> _model = new("model") { Description = "The base model's GGUF file or Hugging Face folder.", HelpName = "MODEL" };
    private readonly Option<string> _socket = new("--socket") { Description = "The Unix socket to listen on.", HelpName = "PATH", Required = true };
    private readonly Option<int?> _threads = new("--threads") { Description = "Threads of the tensor library; all cores unless given.", HelpName = "N" };

    public EngineCommand() : base("engine", "One base model in memory with any number of adapters, answering over a Unix socket until standard input ends.",
        "hone engine models/SmolLM2-135M-Instruct.Q4_1.gguf --socket /tmp/hone.sock", "hone engine model.gguf --socket hone.sock --threads 2")
    {
        Arguments.Add(_model);
        Options.Add(_socket);
        Options.Add(_threads);
    }

    protected override Task<int> RunAsync(ParseResult parse, CancellationToken cancellationToken) =>
        Training.EngineCommand.RunAsync(parse.GetRequiredValue(_model), parse.GetRequiredValue(_socket), parse.GetValue(_threads), cancellationToken);
}
