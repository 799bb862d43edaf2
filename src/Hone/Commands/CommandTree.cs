using System.CommandLine;

namespace Hone.Commands;

/// <summary>Every command. Only the one that was asked for is built, so that the children, which start often, load nothing of the others.</summary>
internal static class CommandTree
{
    private static readonly (string Name, Func<Command> Create)[] All =
    [
        ("serve", () => new ServeCommand()),
        ("worker", () => new WorkerCommand()),
        ("quickstart", () => new QuickstartCommand()),
        ("finetune", Finetunes.FinetuneGroup.Create),
        ("run", () => new RunCommand()),
        ("models", Models.ModelsGroup.Create),
        ("lint", () => new LintCommand()),
        ("train", () => new Children.TrainCommand()),
        ("prove", () => new Children.ProveCommand()),
        ("engine", () => new Children.EngineCommand()),
        ("accounts", Admin.AdminGroups.Accounts),
        ("tokens", Admin.AdminGroups.Tokens),
        ("train", () => new Children.TrainChild()),
        ("prove", () => new Children.ProveChild()),
        ("engine", () => new Children.EngineChild()),
    ];

    public static IEnumerable<Command> For(string[] args)
    {
        foreach ((string name, Func<Command> create) in All)
        {
            if (args.Length > 0 && args[0] == name)
                return [create()];
        }
        return All.Select(command => command.Create());
    }
}
