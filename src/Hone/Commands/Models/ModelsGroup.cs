using System.CommandLine;

namespace Hone.Commands.Models;

internal static class ModelsGroup
{
    public static Command Create() => new CommandGroup(
        "models",
        "Lists the base models of a server; takes GGUF files and Hugging Face folders in and out of its data folder; looks into one.",
        ["hone models list", "hone models add ./Qwen2.5-0.5B-Instruct-Q8_0.gguf --id @cf/qwen/qwen2.5-0.5b-instruct"],
        new ListCommand(), new AddCommand(), new RemoveCommand(), new CheckCommand());
}
