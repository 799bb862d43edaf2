using System.Globalization;
using System.Text.Json;
using Spectre.Console;

namespace Hone.Terminals;

/// <summary>What a lint counted, for people: rows, tokens, lengths as a histogram, and one row with what of it is learnt.</summary>
internal static class LintStatsView
{
    private const int BarWidth = 40;

    public static void Print(Terminal terminal, JsonElement stats)
    {
        TextWriter to = terminal.Output;
        string kinds = string.Join(", ", stats.GetProperty("kinds").EnumerateObject().Select(k => $"{Number(k.Value)} {k.Name.Replace('_', '/')}"));
        Line(to, "rows", $"{Number(stats.GetProperty("rows"))}{(kinds.Length > 0 ? $" ({kinds})" : "")}, {Sizes.Text(stats.GetProperty("bytes").GetInt64())}; {Number(stats.GetProperty("duplicate_rows"))} of them repeat another");
        if (Given(stats, "validation_rows") is { } validation)
            Line(to, "validation", $"{Number(validation)} rows{(Given(stats, "validation_rows_in_training") is { } both ? $", {Number(both)} of them in the training data too" : "")}");
        if (Given(stats, "tokens") is not { } tokens)
            return;
        long all = tokens.GetProperty("tokens").GetInt64(), trained = tokens.GetProperty("trained_tokens").GetInt64();
        Line(to, "tokens", string.Create(CultureInfo.InvariantCulture, $"{all:N0}, of which {trained:N0} are learnt ({(all == 0 ? 0 : 100.0 * trained / all):0.#} %), in {Number(tokens.GetProperty("rows"))} rows; {Number(tokens.GetProperty("dropped_rows"))} rows left out"));
        if (tokens.GetProperty("longest_row").GetInt32() > 0)
            Line(to, "cut", Cut(tokens));
        if (Given(tokens, "row_length") is { } row)
            Line(to, "row length", Summary(row));
        if (Given(tokens, "trained_length") is { } learnt)
            Line(to, "learnt of it", Summary(learnt));
        Histogram(to, tokens.GetProperty("histogram"));
        if (Given(tokens, "sample") is { } sample)
            Sample(terminal, sample);
    }

    private static string Cut(JsonElement tokens)
    {
        string longest = $"the longest row has {Number(tokens.GetProperty("longest_row"))} tokens (line {tokens.GetProperty("longest_row_line")}), max_length is {Number(tokens.GetProperty("max_length"))}";
        return tokens.GetProperty("cut_rows").GetInt32() is var cut && cut == 0
            ? $"no row; {longest}"
            : string.Create(CultureInfo.InvariantCulture, $"{cut:N0} {(cut == 1 ? "row" : "rows")}; {longest}: {Number(tokens.GetProperty("longest_row"))} would cut none");
    }

    private static string Summary(JsonElement length)
        => $"{Number(length.GetProperty("shortest"))} to {Number(length.GetProperty("longest"))} tokens, mean {length.GetProperty("mean")}, median {Number(length.GetProperty("median"))}, 95 % up to {Number(length.GetProperty("p95"))}";

    private static void Histogram(TextWriter to, JsonElement buckets)
    {
        int most = buckets.EnumerateArray().Select(b => b.GetProperty("rows").GetInt32()).DefaultIfEmpty(0).Max();
        foreach (JsonElement bucket in buckets.EnumerateArray())
        {
            int count = bucket.GetProperty("rows").GetInt32();
            var bar = new string('█', Math.Max(1, (int)Math.Round((double)count * BarWidth / most)));
            to.WriteLine($"  ≤ {Number(bucket.GetProperty("up_to")),7}  {bar.PadRight(BarWidth)}  {Number(bucket.GetProperty("rows"))}");
        }
    }

    private static void Sample(Terminal terminal, JsonElement sample)
    {
        terminal.Line($"line {sample.GetProperty("line")} as the model sees it; ⟦what it learns⟧:");
        foreach (JsonElement run in sample.GetProperty("runs").EnumerateArray())
        {
            bool trained = run.GetProperty("trained").GetBoolean();
            string text = run.GetProperty("text").GetString()!;
            if (terminal.Interactive && trained)
                terminal.Ansi.Markup($"[bold green]{Markup.Escape($"⟦{text}⟧")}[/]");
            else
                terminal.Output.Write(trained ? $"⟦{text}⟧" : text);
        }
        terminal.Line();
    }

    private static void Line(TextWriter to, string name, string text) => to.WriteLine($"{name,-12}  {text}");

    private static JsonElement? Given(JsonElement owner, string name)
        => owner.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private static string Number(JsonElement value) => value.GetInt64().ToString("N0", CultureInfo.InvariantCulture);
}
