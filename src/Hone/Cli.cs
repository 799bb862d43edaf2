using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Parsing;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using Hone.Commands;
using Hone.Formats.Jobs;

namespace Hone;

/// <summary>The command tree, the exit codes and what a failure looks like: 0, 1 with one line and a hint on standard error, 2 for wrong usage, 130 when interrupted.</summary>
internal static partial class Cli
{
    public const int Failure = 1, Usage = 2, Interrupted = ChildExitCodes.AskedToEnd;

    public static readonly string[] Examples = ["hone quickstart", "hone serve --data ./hone-data"];

    public static async Task<int> RunAsync(string[] args, TextWriter output, TextWriter error, CancellationToken cancellationToken = default)
    {
        // Model ids begin with @, which the parser would take for a file of arguments.
        ParseResult parse = Root(args).Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (parse.Action is not { ClearsParseErrors: true } && UsageErrors(parse) is { Count: > 0 } wrong)
        {
            Tell(error, string.Join(" ", wrong.Distinct()), $"`{Path(parse.CommandResult)} --help` lists what it takes and shows examples.");
            return Usage;
        }
        using var interrupt = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var signals = new Signals(interrupt);
        try
        {
            return await parse.InvokeAsync(
                new InvocationConfiguration { Output = output, Error = error, EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null },
                interrupt.Token);
        }
        // What is stopped under way ends as it can: as cancelled, with a connection that broke, with an object that is gone.
        catch (Exception) when (interrupt.IsCancellationRequested)
        {
            return Interrupted;
        }
        catch (Exception exception) when (Environment.GetEnvironmentVariable("HONE_DEBUG") is not "1")
        {
            (string message, string? hint) = Explain(exception);
            Tell(error, message, hint);
            return Failure;
        }
    }

    private static RootCommand Root(string[] args)
    {
        var root = new RootCommand("Fine-tunes language models on your own machine and serves the adapters, behind Cloudflare Workers AI's finetunes API.");
        foreach (Option option in root.Options)
        {
            if (option is HelpOption { Action: HelpAction help } helpOption)
                helpOption.Action = new HelpWithExamples(help);
        }
        foreach (Command command in CommandTree.For(args))
            root.Add(command);
        return root;
    }

    private static IReadOnlyList<string> UsageErrors(ParseResult parse) => parse.Errors.Count > 0 ? [.. parse.Errors.Select(Message)]
        : UnknownOptions(parse) is { Count: > 0 } unknown ? unknown
        : parse.CommandResult.Command is CliCommand command ? [.. command.UsageErrors(parse)]
        : [];

    /// <summary>
    /// The parser takes an option that it does not know for an argument, where there is room for one. Behind <c>--</c> it is one, and so is what no option looks like:
    /// "-2 + 5 is?" to <c>hone run</c>.
    /// </summary>
    private static IReadOnlyList<string> UnknownOptions(ParseResult parse)
    {
        var before = parse.Tokens.TakeWhile(token => token.Type != TokenType.DoubleDash).ToHashSet<object>(ReferenceEqualityComparer.Instance);
        return [.. parse.CommandResult.Children.OfType<ArgumentResult>().SelectMany(argument => argument.Tokens)
            .Where(token => before.Contains(token) && OptionName().IsMatch(token.Value)).Select(token => $"Unrecognized option '{token.Value}'; behind -- it is an argument.")];
    }

    [GeneratedRegex(@"^--?[A-Za-z][\w-]*(=|$)")]
    private static partial Regex OptionName();

    /// <summary>Of a value that cannot be read the parser names the .NET type that it wants.</summary>
    private static string Message(ParseError error)
    {
        if (error.SymbolResult is not OptionResult { Option: var option, Tokens: [.., var given] } || !error.Message.Contains("'System.", StringComparison.Ordinal))
            return error.Message;
        Type type = option.ValueType.GetElementType() ?? Nullable.GetUnderlyingType(option.ValueType) ?? option.ValueType;
        string expected = type.IsAssignableTo(typeof(FileSystemInfo)) ? "a path" : type == typeof(double) ? "a number" : "a whole number";
        return $"{option.Name} {given.Value}: {expected} is expected.";
    }

    private static string Path(CommandResult result)
    {
        var names = new Stack<string>();
        for (SymbolResult? at = result; at is CommandResult command; at = at.Parent)
            names.Push(command.Command is RootCommand ? "hone" : command.Command.Name);
        return string.Join(' ', names);
    }

    private static (string Message, string? Hint) Explain(Exception exception) => exception switch
    {
        CliException known => (known.Message, known.Hint),
        Client.ApiException refused => (refused.Message, refused.Hint),
        Formats.InvalidFileException or Training.Devices.LibtorchException => (exception.Message, null),
        FileNotFoundException or DirectoryNotFoundException => (exception.Message, "check the path; relative ones start at the current folder."),
        UnauthorizedAccessException => (exception.Message, "check who owns the file or folder and whether it is read-only."),
        IOException => (exception.Message, null),
        _ when Core.Store.StorageException.From(exception, "the data folder") is { } storage => (storage.Message, null),
        _ => ($"{exception.GetType().Name}: {exception.Message}", "this is a fault in hone; HONE_DEBUG=1 shows where it happened."),
    };

    /// <summary>Where nothing can be written to, the exit code says it alone.</summary>
    private static void Tell(TextWriter error, string message, string? hint)
    {
        try
        {
            error.WriteLine("error: " + OneLine(message));
            if (hint is not null)
                error.WriteLine("hint: " + OneLine(hint));
        }
        catch (IOException)
        {
        }
    }

    private static string OneLine(string text) => string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));

    /// <summary>The first Ctrl-C or SIGTERM asks the command to stop, the second one ends the process.</summary>
    private sealed class Signals : IDisposable
    {
        private readonly List<PosixSignalRegistration> _registrations = [];
        private int _received;

        public Signals(CancellationTokenSource interrupt)
        {
            foreach (PosixSignal signal in new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP })
            {
                _registrations.Add(PosixSignalRegistration.Create(signal, context =>
                {
                    if (Interlocked.Increment(ref _received) > 1 && context.Signal == PosixSignal.SIGINT)
                        return;
                    context.Cancel = true;
                    interrupt.Cancel();
                }));
            }
        }

        public void Dispose()
        {
            foreach (PosixSignalRegistration registration in _registrations)
                registration.Dispose();
        }
    }
}
