using System.CommandLine;
using System.Text;
using Hone.Commands;

namespace Hone.Tests;

public sealed class CliTests
{
    public static TheoryData<string> AllCommands { get; } = [.. CommandTree.For([]).SelectMany(command => Paths(command, "")), ""];

    [Theory]
    [MemberData(nameof(AllCommands))]
    public async Task Help_AnyCommand_DescribesItAndShowsTwoExamples(string path)
    {
        CommandResult result = await CommandLine.RunAsync([.. path.Split(' ', StringSplitOptions.RemoveEmptyEntries), "--help"]);

        Assert.Equal((0, ""), (result.Code, result.Error));
        string[] lines = result.Output.ReplaceLineEndings("\n").Split('\n');
        Assert.Equal("Description:", lines[0]);
        Assert.NotEqual("", lines[1].Trim());
        Assert.Contains("Usage:", lines);
        string[] examples = [.. lines.SkipWhile(line => line != "Examples:").Skip(1).Where(line => line.Length > 0)];
        Assert.Equal(2, examples.Length);
        Assert.All(examples, example => Assert.Contains($"hone {path}".Trim(), example, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("finetune create MODEL NAME --watch")]
    [InlineData("finetune create MODEL NAME --train a.jsonl --adapter folder")]
    [InlineData("serve --data /tmp/a --listen http://127.0.0.1:1")]
    [InlineData("tokens create ci --expires 30d")]
    [InlineData("quickstart --seed 3")]
    public async Task Help_AfterOtherArguments_IsHelp(string line)
    {
        CommandResult result = await CommandLine.RunAsync([.. line.Split(' '), "--help"]);

        Assert.Equal(0, result.Code);
        Assert.Contains("Examples:", result.Output, StringComparison.Ordinal);
    }

    /// <summary>Whatever opens a base model opens a folder, too.</summary>
    [Theory]
    [InlineData("lint")]
    [InlineData("estimate")]
    [InlineData("bench grammar")]
    [InlineData("bench train")]
    [InlineData("models check")]
    [InlineData("engine")]
    public async Task Help_OfACommandThatOpensAModel_NamesFileAndFolder(string path)
    {
        CommandResult result = await CommandLine.RunAsync([.. path.Split(' '), "--help"]);

        Assert.Matches("GGUF\\s+file(,\\s+a|\\s+or)\\s+Hugging\\s+Face\\s+folder", result.Output);
    }

    [Fact]
    public async Task Help_OfTheProgram_HidesTheChildren()
    {
        CommandResult result = await CommandLine.RunAsync("--help");

        string[] listed = [.. result.Output.Split('\n').SkipWhile(line => line.Trim() != "Commands:").Skip(1).TakeWhile(line => line.Trim().Length > 0).Select(line => line.Trim().Split(' ')[0])];
        Assert.Equal(["quickstart", "serve", "worker", "finetune", "run", "models", "lint", "estimate", "accounts", "tokens", "bench"], listed);
    }

    [Theory]
    [InlineData("", "Required command")]
    [InlineData("nonsense", "nonsense")]
    [InlineData("finetune", "Required command")]
    [InlineData("finetune create", "Required argument")]
    [InlineData("finetune list --nonsense", "--nonsense")]
    [InlineData("finetune create m n --watch", "--train")]
    [InlineData("finetune create m n --train a --adapter b", "exclude each other")]
    [InlineData("finetune upload n a b --as training_data.jsonl", "--as")]
    [InlineData("run", "Required argument")]
    [InlineData("run m p --stream --json", "exclude each other")]
    [InlineData("serve --listen https://127.0.0.1:4663", "TLS")]
    [InlineData("serve --listen http://0.0.0.0:4663", "--insecure-http")]
    [InlineData("serve --listen http://127.0.0.1", "port")]
    [InlineData("serve --listen example", "example")]
    [InlineData("serve --models /nonexistent", "/nonexistent")]
    [InlineData("serve --slots 0", "--slots")]
    [InlineData("serve --slots many", "many")]
    [InlineData("serve --threads 1025", "--threads")]
    [InlineData("serve --memory-limit 900", "900M")]
    [InlineData("serve --memory-limit 1.2.3G", "1.2.3G")]
    [InlineData("serve --memory-limit -2G", "-2G")]
    [InlineData("serve --no-worker --memory-limit 2G", "--no-worker")]
    [InlineData("worker --slots 65", "--slots")]
    [InlineData("worker --threads 0", "--threads")]
    [InlineData("worker --memory-limit 255M", "256M")]
    [InlineData("lint", "Required argument")]
    [InlineData("lint a.jsonl --typo", "Unrecognized option '--typo'")]
    [InlineData("finetune get --typo", "Unrecognized option '--typo'")]
    [InlineData("run -m p", "Unrecognized option '-m'; behind -- it is an argument")]
    [InlineData("run m --typo=p", "Unrecognized option '--typo=p'")]
    [InlineData("lint a.jsonl b.jsonl c.jsonl", "at most one")]
    [InlineData("estimate a.jsonl --set rank", "KEY=VALUE")]
    [InlineData("estimate a.jsonl --threads 0", "--threads")]
    [InlineData("tokens create ci --expires soon", "soon")]
    [InlineData("accounts create lab --email nobody", "nobody")]
    [InlineData("quickstart --seed -1", "--seed")]
    [InlineData("quickstart --config /nonexistent.json", "/nonexistent.json")]
    [InlineData("bench train --steps 0", "--steps")]
    [InlineData("bench train --precision x", "float32")]
    [InlineData("finetune download n --format onnx", "gguf")]
    [InlineData("tokens create ci --expires 1d --expires 2d", "--expires")]
    [InlineData("run m p --seed abc", "--seed abc: a whole number is expected.")]
    [InlineData("engine model.gguf", "--socket")]
    public async Task Run_WrongUsage_Exits2WithOneLineAndAHint(string line, string named)
    {
        CommandResult result = await CommandLine.RunAsync(line.Split(' ', StringSplitOptions.RemoveEmptyEntries));

        Assert.Equal((2, ""), (result.Code, result.Output));
        string[] lines = result.Error.TrimEnd().ReplaceLineEndings("\n").Split('\n');
        Assert.Equal(2, lines.Length);
        Assert.StartsWith("error: ", lines[0], StringComparison.Ordinal);
        Assert.Contains(named, lines[0], StringComparison.Ordinal);
        Assert.StartsWith("hint: `hone", lines[1], StringComparison.Ordinal);
    }

    /// <summary>It goes as far as the server, which is not there.</summary>
    [Theory]
    [InlineData("-2 + 5 is?")]
    [InlineData("-- is a dash")]
    [InlineData("--typo", "--")]
    public async Task Bug_PromptThatBeginsWithADash_WasAnUnknownOption(string prompt, string? before = null)
    {
        CommandResult result = await CommandLine.RunAsync(["run", "--url", "http://127.0.0.1:1", "--account", "a", "--token", "t", "m", .. before is null ? Array.Empty<string>() : [before], prompt]);
        Assert.Equal(Cli.Failure, result.Code);
        Assert.Contains("127.0.0.1:1", result.Error, StringComparison.Ordinal);
    }

    /// <summary>Numbers that are none and paths that are empty.</summary>
    public static TheoryData<string, string, string> WrongValues { get; } = [.. CommandTree.For([]).SelectMany(command => WithOptions(command, ""))];

    [Theory]
    [MemberData(nameof(WrongValues))]
    public async Task Bug_ValueThatCannotBeRead_IsWrongUsage(string path, string option, string given)
    {
        CommandResult result = await CommandLine.RunAsync([.. path.Split(' '), option, given]);

        Assert.Equal((2, ""), (result.Code, result.Output));
        string[] lines = result.Error.TrimEnd().ReplaceLineEndings("\n").Split('\n');
        Assert.Equal(2, lines.Length);
        Assert.Contains($"{option} {given}: ", lines[0], StringComparison.Ordinal);
        Assert.DoesNotContain("System.", lines[0], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("finetune list --url http://127.0.0.1:1 --token t --account a", "Cannot reach http://127.0.0.1:1", "hone serve")]
    [InlineData("finetune list --data /nonexistent", "No server is known", "hone serve")]
    [InlineData("finetune list --url nonsense --token t", "nonsense", "http://127.0.0.1:4663")]
    [InlineData("finetune create m n --train /nonexistent.jsonl --url http://127.0.0.1:1 --token t", "/nonexistent.jsonl", "nothing was created")]
    [InlineData("tokens list --data /nonexistent", "not a data folder", "hone serve")]
    [InlineData("lint /nonexistent.jsonl", "/nonexistent.jsonl", "check the path")]
    [InlineData("lint README.md --model /nonexistent.gguf", "README.md", "check the path")]
    [InlineData("lint /tmp", "/tmp is a folder", "name the file in it")]
    [InlineData("estimate /tmp", "/tmp is a folder", "name the file in it")]
    [InlineData("finetune create m n --train /tmp --url http://127.0.0.1:1 --token t", "/tmp is a folder", "name the file in it")]
    [InlineData("finetune upload n  --url http://127.0.0.1:1 --token t", "path of a file is empty", "nothing was uploaded")]
    [InlineData("lint ", "path of a file is empty", "check the path")]
    [InlineData("estimate ", "path of a file is empty", "check the path")]
    [InlineData("estimate /nonexistent.jsonl", "/nonexistent.jsonl", "check the path")]
    [InlineData("models check /nonexistent.gguf", "/nonexistent.gguf", "check the path")]
    [InlineData("quickstart --examples /nonexistent", "/nonexistent", "test.jsonl")]
    [InlineData("worker --data /nonexistent", "not a data folder", "hone serve")]
    public async Task Run_ThatFails_Exits1WithOneLineAndAHint(string line, string message, string hint)
    {
        CommandResult result = await CommandLine.RunAsync(line.Split(' '));

        Assert.Equal((1, ""), (result.Code, result.Output));
        string[] lines = result.Error.TrimEnd().ReplaceLineEndings("\n").Split('\n');
        Assert.Equal(2, lines.Length);
        Assert.Contains(message, lines[0], StringComparison.Ordinal);
        Assert.Contains(hint, lines[1], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("nonsense", 2)]
    [InlineData("lint /nonexistent.jsonl", 1)]
    public async Task Bug_StandardErrorIsFull_TheExitCodeSaysIt(string line, int code)
    {
        using var full = new FullWriter();

        Assert.Equal(code, await Cli.RunAsync(line.Split(' '), full, full, TestContext.Current.CancellationToken));
    }

    private sealed class FullWriter : TextWriter
    {
        public override Encoding Encoding => Encoding.UTF8;

        public override void Write(char value) => throw new IOException("No space left on device");
    }

    private static IEnumerable<(string, string, string)> WithOptions(Command command, string before)
    {
        string path = $"{before} {command.Name}".Trim();
        return command.Subcommands.SelectMany(inner => WithOptions(inner, path)).Concat(command.Options
            .Where(option => option.ValueType != typeof(bool) && option.ValueType != typeof(string) && option.ValueType != typeof(string[]))
            .Select(option => (path, option.Name, (option.ValueType.GetElementType() ?? option.ValueType).IsAssignableTo(typeof(FileSystemInfo)) ? "" : "x")));
    }

    private static IEnumerable<string> Paths(Command command, string before)
    {
        string path = $"{before} {command.Name}".Trim();
        return command.Subcommands.SelectMany(inner => Paths(inner, path)).Prepend(path);
    }
}
