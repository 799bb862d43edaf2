using System.Globalization;
using System.Text.Json;
using Hone.Client;
using Spectre.Console;

namespace Hone.Terminals;

/// <summary>A job's events as a person follows them: a bar on a terminal, a line now and then otherwise.</summary>
internal static class TrainingProgress
{
    /// <summary>Between two lines of progress where there is no bar.</summary>
    private static readonly TimeSpan _pause = TimeSpan.FromSeconds(5);

    public static async Task ShowAsync(Terminal terminal, IAsyncEnumerable<FinetuneEvent> events, TimeProvider clock)
    {
        if (terminal.Interactive)
            await ShowBarAsync(terminal, events);
        else
            await ShowLinesAsync(terminal, events, clock);
    }

    private static async Task ShowLinesAsync(Terminal terminal, IAsyncEnumerable<FinetuneEvent> events, TimeProvider clock)
    {
        long? shown = null;
        await foreach (FinetuneEvent happened in events)
        {
            if (StepOf(happened) is not { } step)
            {
                foreach (string line in LinesOf(happened))
                    terminal.Line(Prefix(happened) + line);
                continue;
            }
            if (step.Number < step.Of && shown is { } before && clock.GetElapsedTime(before) < _pause)
                continue;
            shown = clock.GetTimestamp();
            terminal.Line($"step {step.Number}/{step.Of}  {step.Text}");
        }
    }

    private static async Task ShowBarAsync(Terminal terminal, IAsyncEnumerable<FinetuneEvent> events)
    {
        var column = new StepColumn();
        await terminal.Ansi.Progress()
            .AutoClear(false)
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn { Width = 30 }, column)
            .StartAsync(async context =>
            {
                ProgressTask? bar = null;
                await foreach (FinetuneEvent happened in events)
                {
                    if (StepOf(happened) is not { } step)
                    {
                        foreach (string line in LinesOf(happened))
                            terminal.Ansi.MarkupLine($"[{happened.Level switch { "error" => "red", "warn" => "yellow", _ => "grey" }}]{Markup.Escape(line)}[/]");
                        continue;
                    }
                    bar ??= context.AddTask("training", maxValue: step.Of);
                    bar.MaxValue = step.Of;
                    bar.Value = step.Number;
                    column.Shown = $"{step.Number}/{step.Of}  {step.Text}";
                }
            });
    }

    private static string Prefix(FinetuneEvent happened) => happened.Level switch { "error" => "error: ", "warn" => "warning: ", _ => "" };

    /// <summary>The message; of the settings each on a line of its own, with where it came from.</summary>
    private static IEnumerable<string> LinesOf(FinetuneEvent happened)
    {
        if (happened.Data is not { ValueKind: JsonValueKind.Object } data || !data.TryGetProperty("values", out JsonElement values) || values.ValueKind != JsonValueKind.Array)
            return [happened.Message];
        string[][] settings = [.. values.EnumerateArray().Select(setting => new[] { Text(setting, "key"), Text(setting, "value"), Text(setting, "origin") })];
        int width = settings.Max(setting => setting[0].Length);
        return settings.Select(setting => $"  {setting[0].PadRight(width)}  {setting[1]}  ({setting[2]})").Prepend("Settings");
    }

    private static string Text(JsonElement data, string name) => data.TryGetProperty(name, out JsonElement value) ? value.ToString() : "";

    private static (int Number, int Of, string Text)? StepOf(FinetuneEvent happened)
    {
        if (happened is not { Type: "metrics", Data: { ValueKind: JsonValueKind.Object } data } || Number(data, "step") is not { } number || Number(data, "steps") is not { } steps)
            return null;
        var parts = new List<string>();
        if (Number(data, "loss") is { } loss)
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"loss {loss:0.000}"));
        if (Number(data, "tokens_per_second") is { } speed)
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"{speed:0} tokens/s"));
        if (Number(data, "seconds_left") is { } left)
            parts.Add($"{Sizes.Duration(left)} left");
        return ((int)number, (int)steps, string.Join("  ", parts));
    }

    private static double? Number(JsonElement data, string name)
        => data.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;

    private sealed class StepColumn : ProgressColumn
    {
        public string Shown { get; set; } = "";

        protected override bool NoWrap => true;

        public override Spectre.Console.Rendering.IRenderable Render(Spectre.Console.Rendering.RenderOptions options, ProgressTask task, TimeSpan deltaTime)
            => new Text(Shown);
    }
}
