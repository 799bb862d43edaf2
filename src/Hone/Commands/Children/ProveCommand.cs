using System.CommandLine;

namespace Hone.Commands.Children;

/// <summary>A worker's child; not in the list of commands.</summary>
internal sealed class ProveCommand : ChildCommand
{
    private readonly Argument<string> _folder = new("jobdir") { Description = "The folder of a job that has been trained.", HelpName = "JOBDIR" };

    public ProveCommand() : base("prove", "Loads a trained adapter from its files, compares its logits with the trainer's and the base's, and completes the report.",
        "hone prove data/jobs/1b4e28ba-2fa1-11d2-883f-0016d3cca427/1", "hone prove job < /dev/tty | jq .max_relative_difference")
    {
        Arguments.Add(_folder);
    }

    protected override Task<int> RunAsync(ParseResult parse, CancellationToken cancellationToken) =>
        Training.ProveCommand.RunAsync(parse.GetRequiredValue(_folder), cancellationToken);
}
