using System.Text.Json;
using System.Text.Json.Serialization;
using Hone.Formats.Files;
using Hone.Formats.TrainingData;
using Hone.Training.Training;

namespace Hone.Training.Reports;

/// <summary>One line of <c>rows.jsonl</c>: how well the model took in one row, or one pair.</summary>
/// <param name="Part">From 1; of a row whose turns are rendered apart. Null: the row is one.</param>
/// <param name="Tokens">Of both answers of a pair, with their prompt.</param>
/// <param name="LossFirst">Mean over the row's trained tokens (a pair: its loss) when a step first saw it, before that step's update.</param>
/// <param name="LossLast">The same when a step last saw it.</param>
/// <param name="LossLater">The mean over all steps that saw it but the first; null where there was one alone.</param>
/// <param name="LossAfter">With the finished adapter; computed for rows that one step alone has seen, as far as it costs little.</param>
internal sealed record RowLoss(int Line, int? Part, int Tokens, int TrainedTokens, float LossFirst, int StepFirst, float LossLast, int StepLast, float? LossLater, float? LossAfter)
{
    /// <summary>What the rows are ordered by; null where one step alone saw the row, before the adapter was what it is.</summary>
    [JsonIgnore]
    public float? Loss => LossAfter ?? LossLater;
}

/// <summary>
/// <c>rows.jsonl</c>, and the rows that fit worst: a wrong label keeps its loss high while those around it fall. The losses are those that the steps computed, which
/// cost nothing. A row seen once was judged by an adapter that was still learning, so after a single epoch the suspects among them are computed again.
/// </summary>
internal static class RowAttribution
{
    public const string FileName = "rows.jsonl";
    private const int Named = 10;

    /// <summary>Part of the training rows' tokens that may be computed again: a pass forward costs half a step's, so a tenth of one epoch is 5 % of its time.</summary>
    private const double AgainShare = 0.1;

    /// <summary>Steps on either side whose loss a row's is compared with.</summary>
    private const int Neighbours = 8;

    public static AttributionReport Write(string path, string trainingData, IReadOnlyList<EncodedRow> rows, TrainSettings settings, TrainProgress progress, Trainer trainer, CancellationToken cancellation)
    {
        RowLoss[] losses = Losses(rows, settings, progress, trainer, cancellation);
        AtomicFile.Write(path, stream =>
        {
            foreach (RowLoss loss in losses)
            {
                JsonSerializer.Serialize(stream, loss, RowLossJson.Default.RowLoss);
                stream.WriteByte((byte)'\n');
            }
        });
        int again = losses.Count(l => l.LossAfter is not null), once = losses.Count(l => l.LossLater is null);
        RowLoss[] worst = [.. losses.Where(l => l.Loss is not null).OrderByDescending(l => l.Loss).ThenBy(l => l.Line).Take(Named)];
        Dictionary<int, string> excerpts = RowExcerpt.Read(trainingData, [.. worst.Select(w => w.Line)]);
        string by = once == 0
            ? "The loss is the mean over the steps that saw the row, but the first."
            : $"The steps saw {once} of {losses.Length} rows once; the loss of {again} of them, those that stood out most when seen, is computed again with the finished adapter.";
        return new AttributionReport(losses.Length, by, [.. worst.Select(w => new WorstRow(w.Line, w.Part, w.TrainedTokens, w.LossFirst, w.Loss!.Value, excerpts.GetValueOrDefault(w.Line, "")))]);
    }

    private static RowLoss[] Losses(IReadOnlyList<EncodedRow> rows, TrainSettings settings, TrainProgress progress, Trainer trainer, CancellationToken cancellation)
    {
        int width = settings.RowsAnItem;
        RowLosses seen = progress.RowLosses!;
        int[] items = [.. Enumerable.Range(0, rows.Count / width).Where(i => seen.First(i * width).Step > 0)];
        int[] again = [.. Suspects(items, i => TokensOf(i), seen, width, progress.Losses)];
        double[] after = trainer.LossesOf([.. again.SelectMany(i => Enumerable.Range(i * width, width))], cancellation);
        Dictionary<int, float> computed = again.Select((item, at) => (item, (float)after[at * width])).ToDictionary();
        ILookup<int, int> ofLine = items.ToLookup(i => rows[i * width].Line);
        return [.. items.Select(item =>
        {
            EncodedRow row = rows[item * width];
            int[] parts = [.. ofLine[row.Line]];
            (float first, int firstStep) = seen.First(item * width);
            (float last, int lastStep) = seen.Last(item * width);
            return new RowLoss(
                row.Line, parts.Length > 1 ? Array.IndexOf(parts, item) + 1 : null, TokensOf(item), Enumerable.Range(item * width, width).Sum(i => rows[i].TrainedTokens),
                first, firstStep, last, lastStep, seen.Later(item * width), computed.TryGetValue(item, out float known) ? known : null);
        })];

        int TokensOf(int item) => Enumerable.Range(item * width, width).Sum(i => rows[i].Tokens.Length);
    }

    /// <summary>Of the rows seen once, those whose loss stood out most from the steps around theirs, as many as may be computed again; in the data's order.</summary>
    private static IEnumerable<int> Suspects(int[] items, Func<int, int> tokens, RowLosses seen, int width, IReadOnlyList<double> steps)
    {
        long left = Math.Max(Trainer.MaxPassTokens, (long)(AgainShare * items.Sum(i => (long)tokens(i))));
        return items.Where(i => seen.Later(i * width) is null)
            .OrderByDescending(Excess).ThenBy(i => i)
            .TakeWhile(i => (left -= tokens(i)) >= 0)
            .Order();

        double Excess(int item)
        {
            (float loss, int step) = seen.First(item * width);
            int from = Math.Max(0, step - 1 - Neighbours), to = Math.Min(steps.Count, step + Neighbours);
            return loss - steps.Skip(from).Take(to - from).Average();
        }
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(RowLoss))]
internal sealed partial class RowLossJson : JsonSerializerContext;
