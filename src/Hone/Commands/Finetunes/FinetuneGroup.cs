using System.CommandLine;

namespace Hone.Commands.Finetunes;

internal static class FinetuneGroup
{
    public static Command Create() => new CommandGroup(
        "finetune",
        "Creates finetunes, feeds them, watches them and fetches what they learnt. Talks to a server over the public API.",
        [
            "hone finetune create @cf/huggingfacetb/smollm2-135m-instruct triage --train train.jsonl --watch",
            "hone finetune list --json",
        ],
        new CreateCommand(), new ListCommand(), new GetCommand(), new UploadCommand(), new WatchCommand(), new PauseCommand(), new ResumeCommand(), new CancelCommand(), new DeleteCommand(), new DownloadCommand());

    public static Argument<string> NameArgument() => new("name") { Description = "Name or id of the finetune.", HelpName = "NAME" };

    public static Option<bool> JsonOption() => new("--json") { Description = "Print the API's JSON." };
}
