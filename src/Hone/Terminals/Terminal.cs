using System.Text.Json;
using Spectre.Console;

namespace Hone.Terminals;

/// <summary>Where a command writes: data on standard output, everything else on standard error. Colours, tables and bars only where a person looks at a terminal.</summary>
internal sealed class Terminal(TextWriter output, TextWriter error)
{
    private IAnsiConsole? _console;

    public TextWriter Output => output;

    public TextWriter Error => error;

    /// <summary>The output is a terminal.</summary>
    public bool Interactive { get; } = ((ReferenceEquals(output, Console.Out) && !Console.IsOutputRedirected) || (ReferenceEquals(output, Console.Error) && !Console.IsErrorRedirected))
        && Environment.GetEnvironmentVariable("TERM") is not (null or "" or "dumb");

    public IAnsiConsole Ansi => _console ??= AnsiConsole.Create(new AnsiConsoleSettings
    {
        Ansi = Interactive ? AnsiSupport.Detect : AnsiSupport.No,
        ColorSystem = Interactive && Environment.GetEnvironmentVariable("NO_COLOR") is null or "" ? ColorSystemSupport.Detect : ColorSystemSupport.NoColors,
        Interactive = Interactive ? InteractionSupport.Detect : InteractionSupport.No,
        Out = new AnsiConsoleOutput(output),
    });

    public void Line(string text = "") => output.WriteLine(text);

    /// <summary>Progress and explanations, which must not mix with data that a program reads.</summary>
    public void Note(string text) => error.WriteLine(text);

    public void Json(JsonElement json) => output.WriteLine(JsonSerializer.Serialize(json, Client.HoneJson.Readable.JsonElement));

    public void Json(JsonElement[] json) => output.WriteLine(JsonSerializer.Serialize(json, Client.HoneJson.Readable.JsonElementArray));

    /// <summary>A table with a frame on a terminal; columns of text otherwise.</summary>
    public void Table(IReadOnlyList<string> headers, IReadOnlyList<string[]> rows)
    {
        if (Interactive)
        {
            var table = new Table().Border(TableBorder.Rounded);
            foreach (string header in headers)
                table.AddColumn(new TableColumn(new Text(header, new Style(decoration: Decoration.Bold))));
            foreach (string[] row in rows)
                table.AddRow(row.Select(cell => (Spectre.Console.Rendering.IRenderable)new Text(cell)));
            Ansi.Write(table);
            return;
        }
        int[] widths = [.. headers.Select((header, i) => rows.Select(row => row[i].Length).Append(header.Length).Max())];
        foreach (string[] row in rows.Prepend([.. headers]))
            output.WriteLine(string.Join("  ", row.Select((cell, i) => i == row.Length - 1 ? cell : cell.PadRight(widths[i]))));
    }

    /// <summary>Runs something that counts up to a total: under a bar on a terminal, with a line at the end otherwise.</summary>
    public async Task CountAsync(string label, int total, Func<Action, Task> run)
    {
        if (Interactive)
        {
            await Ansi.Progress()
                .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn { Width = 30 }, new PercentageColumn())
                .StartAsync(async context =>
                {
                    ProgressTask task = context.AddTask(label, maxValue: total);
                    await run(() => task.Increment(1));
                });
            return;
        }
        long started = TimeProvider.System.GetTimestamp();
        await run(() => { });
        Line($"{label}: {total} answers in {Sizes.Duration(TimeProvider.System.GetElapsedTime(started).TotalSeconds)}");
    }

    /// <summary>Names and values, one a line.</summary>
    public void Facts(IReadOnlyList<string[]> facts)
    {
        int width = facts.Max(fact => fact[0].Length);
        foreach (string[] fact in facts)
            output.WriteLine($"{fact[0].PadRight(width)}  {fact[1]}");
    }
}
