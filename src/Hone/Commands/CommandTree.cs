using System.CommandLine;

namespace Hone.Commands;

/// <summary>Every command. Only the one that was asked for is built, so that the children, which start often, load nothing of the others.</summary>
internal static class CommandTree
{
    private static readonly (string Name, Func<Command> Create)[] All =
    [
        ("quickstart", () => new QuickstartCommand()),
        ("serve", () => new ServeCommand()),
        ("worker", () => new WorkerCommand()),
        ("finetune", Finetunes.FinetuneGroup.Create),
        ("run", () => new RunCommand()),
        ("models", Models.ModelsGroup.Create),
        ("lint", () => new LintCommand()),
        ("estimate", () => new EstimateCommand()),
        ("accounts", Admin.AdminGroups.Accounts),
        ("tokens", Admin.AdminGroups.Tokens),
        ("bench", Bench.BenchGroup.Create),
        ("train", () => new Children.TrainCommand()),
        ("prove", () => new Children.ProveCommand()),
        ("engine", () => new Children.EngineCommand()),
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
