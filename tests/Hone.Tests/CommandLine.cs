namespace Hone.Tests;

/// <param name="Error">Standard error.</param>
internal sealed record CommandResult(int Code, string Output, string Error);

/// <summary>The command line in this process.</summary>
internal static class CommandLine
{
    public static async Task<CommandResult> RunAsync(params string[] args)
    {
        using StringWriter output = new(), error = new();
        int code = await Cli.RunAsync(args, output, error, TestContext.Current.CancellationToken);
        return new CommandResult(code, output.ToString(), error.ToString());
    }
}
