using System.CommandLine;
using Hone.Formats.Jobs;
using Hone.Terminals;
using Hone.Training.Processes;

namespace Hone.Commands.Children;

/// <summary>
/// A child with native code in it; not in the list of commands. What it has to say about its work it says in its protocol; anything that escapes is a crash:
/// the whole exception on standard error, and an exit code that is neither success nor an explained failure.
/// </summary>
internal abstract class ChildCommand : CliCommand
{
    private const int Crashed = 70;

    protected ChildCommand(string name, string description, params string[] examples) : base(name, description, examples) => Hidden = true;

    protected abstract Task<int> RunAsync(ParseResult parse, CancellationToken cancellationToken);

    protected sealed override async Task<int> RunAsync(ParseResult parse, Terminal terminal, CancellationToken cancellationToken)
    {
        int code;
        try
        {
            code = await RunAsync(parse, cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            code = ChildExitCodes.AskedToEnd;
        }
        catch (Exception fault)
        {
            terminal.Note(fault.ToString());
            // Who keeps the last lines alone, as the worker does, has the cause in them.
            Exception cause = fault.GetBaseException();
            terminal.Note($"{cause.GetType().Name}: {cause.Message}");
            terminal.Error.Flush();
            code = Crashed;
        }
        // All is said and every file is complete. Without memory the runtime and the tensor library may take seconds to leave, or hang.
        ChildLifetime.End(code);
        return code;
    }
}
