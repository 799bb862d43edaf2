using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using Hone.Terminals;

namespace Hone.Commands;

/// <summary>A command of <c>hone</c>: its options, two examples for <c>--help</c>, and its body.</summary>
internal abstract class CliCommand : Command
{
    protected CliCommand(string name, string description, params string[] examples) : base(name, description)
    {
        Examples = examples;
        SetAction(RunAsync);
    }

    public IReadOnlyList<string> Examples { get; }

    /// <summary>What is wrong with values that can be read. A validator of the library runs before they are, and throws where one cannot.</summary>
    public virtual IEnumerable<string> UsageErrors(ParseResult parse) => [];

    /// <returns>The exit code: 0, or 1 where the command has said why. <see cref="CliException"/> is the other way to 1.</returns>
    protected abstract Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken);

    private Task<int> RunAsync(ParseResult parse, CancellationToken cancellationToken)
        => RunAsync(parse, new Terminal(parse.InvocationConfiguration.Output, parse.InvocationConfiguration.Error), cancellationToken);
}

/// <summary>A command that only holds others.</summary>
internal sealed class CommandGroup : Command
{
    public CommandGroup(string name, string description, IReadOnlyList<string> examples, params Command[] commands) : base(name, description)
    {
        Examples = examples;
        foreach (Command command in commands)
            Add(command);
    }

    public IReadOnlyList<string> Examples { get; }
}

/// <summary>The library's help and the command's examples under it.</summary>
internal sealed class HelpWithExamples(HelpAction help) : SynchronousCommandLineAction
{
    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        // The library writes nothing about a hidden command, also where it is asked for.
        parseResult.CommandResult.Command.Hidden = false;
        int code = help.Invoke(parseResult);
        IReadOnlyList<string> examples = parseResult.CommandResult.Command switch
        {
            CliCommand command => command.Examples,
            CommandGroup group => group.Examples,
            _ => Cli.Examples,
        };
        TextWriter output = parseResult.InvocationConfiguration.Output;
        output.WriteLine("Examples:");
        foreach (string example in examples)
            output.WriteLine("  " + example);
        output.WriteLine();
        return code;
    }
}
