using System.CommandLine;

namespace Hone.Commands.Children;

/// <summary>A worker's child; not in the list of commands.</summary>
internal sealed class TrainCommand : ChildCommand
{
    private readonly Argument<string> _folder = new("jobdir") { Description = "The job's folder, with job.json.", HelpName = "JOBDIR" };

    public TrainCommand() : base("train", "One attempt at one job, as a worker starts it: reads JOBDIR/job.json, writes events to standard output and checkpoints and the adapter into the folder.",
        "hone train data/jobs/1b4e28ba-2fa1-11d2-883f-0016d3cca427/1", "hone train job < /dev/tty | jq -r 'select(.type == \"step\") | .loss'")
    {
        Arguments.Add(_folder);
    }

    protected override Task<int> RunAsync(ParseResult parse, CancellationToken cancellationToken) =>
        Training.TrainCommand.RunAsync(parse.GetRequiredValue(_folder), cancellationToken);
}
