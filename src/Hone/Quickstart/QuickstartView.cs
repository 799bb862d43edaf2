using System.Globalization;
using Hone.Client;
using Hone.Terminals;
using Spectre.Console;

namespace Hone.Quickstart;

/// <summary>What a person sees at the end: some answers side by side, both scores, where the adapter lies, and what to try next.</summary>
internal static class QuickstartView
{
    private const int Shown = 6, Width = 44;

    public static void Show(Terminal terminal, Evaluation before, Evaluation after, QuickstartResult result)
    {
        terminal.Line();
        if (terminal.Interactive)
            ShowTable(terminal, before, after);
        else
            ShowText(terminal, before, after);
        int count = after.Questions.Count;
        terminal.Line();
        terminal.Line($"               exact answer   right intent");
        terminal.Line($"base model     {Of(before.Exact, count),-14} {Of(before.Intent, count)}");
        terminal.Line($"with adapter   {Of(after.Exact, count),-14} {Of(after.Intent, count)}");
        terminal.Line();
        terminal.Line($"trained in {Sizes.Duration(result.TrainSeconds)}; {Sizes.Duration(result.TotalSeconds)} in all");
        terminal.Line($"adapter (PEFT) {result.AdapterDir}");
    }

    /// <param name="url">Of the server that is running now.</param>
    public static void ShowNext(
        Terminal terminal, Uri url, Connection connection, string name, string folder, IReadOnlyList<Question> questions, bool serving)
    {
        string hone = HoneOnCommandLine();
        Uri later = serving ? url : new Uri(Commands.ServeOptions.DefaultListen);
        string question = questions[0].Text.Replace("'", "'\\''", StringComparison.Ordinal);
        string json = System.Text.Json.JsonSerializer.Serialize(
            new RunRequest { Messages = [new("user", questions[0].Text)], Lora = name }, HoneJson.Compact.RunRequest).Replace("'", "'\\''", StringComparison.Ordinal);
        terminal.Line();
        terminal.Line(serving ? "The server runs until Ctrl-C. Try in another terminal:" : $"Try next. Start the server on this data again with\n  {hone} serve --data {Quoted(folder)}\nand then, in another terminal:");
        terminal.Line($"  {hone} run {QuickstartOptions.Model} '{question}' --lora {name} --data {Quoted(folder)}");
        terminal.Line($"  curl {later.AbsoluteUri.TrimEnd('/')}/client/v4/accounts/{connection.AccountId}/ai/run/{QuickstartOptions.Model} -H 'Authorization: Bearer {connection.Token}' -d '{json}'");
        terminal.Line($"  xdg-open {later.AbsoluteUri.TrimEnd('/')}/docs     # the API's reference page");
    }

    private static void ShowTable(Terminal terminal, Evaluation before, Evaluation after)
    {
        var table = new Table().Border(TableBorder.Rounded).ShowRowSeparators();
        foreach (string header in new[] { "question", "base model", "with adapter" })
            table.AddColumn(new TableColumn(new Text(header, new Style(decoration: Decoration.Bold))));
        foreach (int i in Chosen(after))
        {
            bool right = Evaluation.IsExact(after.Questions[i], after.Answers[i]);
            table.AddRow(
                new Text(after.Questions[i].Text),
                new Text(Short(before.Answers[i]), new Style(Color.Grey)),
                new Text(right ? after.Answers[i].Trim() : $"{Short(after.Answers[i])}\nexpected {after.Questions[i].Expected}", new Style(right ? Color.Green : Color.Yellow)));
        }
        terminal.Ansi.Write(table);
    }

    private static void ShowText(Terminal terminal, Evaluation before, Evaluation after)
    {
        foreach (int i in Chosen(after))
        {
            terminal.Line($"question  {after.Questions[i].Text}");
            terminal.Line($"  base      {Short(before.Answers[i])}");
            terminal.Line($"  adapter   {Short(after.Answers[i])}{(Evaluation.IsExact(after.Questions[i], after.Answers[i]) ? "" : $"   (expected {after.Questions[i].Expected})")}");
        }
    }

    /// <summary>Some of the right answers, each another one, and a wrong one where there is one.</summary>
    private static IEnumerable<int> Chosen(Evaluation after)
    {
        int[] all = [.. Enumerable.Range(0, after.Questions.Count)];
        int[] wrong = [.. all.Where(i => !Evaluation.IsExact(after.Questions[i], after.Answers[i]))];
        int[] right = [.. all.Except(wrong).DistinctBy(i => after.Questions[i].Expected).Take(Shown - Math.Min(1, wrong.Length))];
        return right.Concat(wrong.Take(Shown - right.Length));
    }

    private static string Of(int count, int total) => string.Create(CultureInfo.InvariantCulture, $"{count} of {total}");

    private static string Short(string answer)
    {
        string line = answer.ReplaceLineEndings(" ").Trim();
        return line.Length <= 2 * Width ? line : line[..(2 * Width - 1)] + "…";
    }

    private static string Quoted(string path) => path.All(c => char.IsAsciiLetterOrDigit(c) || c is '/' or '-' or '_' or '.') ? path : $"'{path}'";

    /// <summary>How a person in this folder starts this program.</summary>
    private static string HoneOnCommandLine()
    {
        string self = Environment.ProcessPath ?? "hone";
        foreach (string folder in (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries))
        {
            string candidate = Path.Combine(folder, Path.GetFileName(self));
            if (File.Exists(candidate) && Path.GetFullPath(new FileInfo(candidate).ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? candidate) == self)
                return Path.GetFileName(self);
        }
        string relative = Path.GetRelativePath(".", self);
        return Quoted(relative.StartsWith("..", StringComparison.Ordinal) ? self : relative.Contains('/', StringComparison.Ordinal) ? relative : "./" + relative);
    }
}
