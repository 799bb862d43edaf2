using System.Text.Json;
using System.Text.Json.Serialization;
using Hone.Formats.Files;
using Hone.Formats.TrainingData;
using Hone.Training.Training;

namespace Hone.Training.Reports;

/// <summary>One line of <c>rows.jsonl</c>: how well the model took in one row, or one pair.</summary>
/// <param name="Part">From 1; of a row whose turns are rendered apart. Null: the row is one.</param>
/// <param name="Tokens">Of both answers of a pair, with their prompt.</param>
/// <param name="LossBefore">Mean over the row's trained tokens (a pair: its loss) when a step first saw it, before that step's update.</param>
/// <param name="LossAfter">The same with the finished adapter.</param>
/// <param name="LossLater">The mean over all steps that saw it but the first; null where there was one alone.</param>
internal sealed record RowLoss(int Line, int? Part, int Tokens, int TrainedTokens, int StepFirst, float LossBefore, float? LossLater, float LossAfter)
{
    /// <summary>What the rows are ordered by. A wrong label is learnt by heart in the end; while the later steps saw it, it still stood out.</summary>
    [JsonIgnore]
    public float Misfit => LossLater ?? LossAfter;
}

/// <summary>
/// <c>rows.jsonl</c>, and the rows that fit worst: a wrong label keeps its loss high while those around it fall. The losses before are those that the steps computed;
/// those after cost one pass forward over all rows, about a third of an epoch.
/// </summary>
internal static class RowAttribution
{
    public const string FileName = "rows.jsonl";
    private const int Named = 10;

    /// <param name="onRows">Told now and then of how many rows the loss is computed, and of how many it will be.</param>
    public static AttributionReport Write(
        string path, string trainingData, IReadOnlyList<EncodedRow> rows, TrainSettings settings, TrainProgress progress, Trainer trainer, Action<int, int> onRows, CancellationToken cancellation)
    {
        RowLoss[] losses = Losses(rows, settings, progress, trainer, onRows, cancellation);
        AtomicFile.Write(path, stream =>
        {
            foreach (RowLoss loss in losses)
            {
                JsonSerializer.Serialize(stream, loss, RowLossJson.Default.RowLoss);
                stream.WriteByte((byte)'\n');
            }
        });
        RowLoss[] worst = [.. losses.OrderByDescending(l => l.Misfit).ThenBy(l => l.Line).Take(Named)];
        Dictionary<int, string> excerpts = RowExcerpt.Read(trainingData, [.. worst.Select(w => w.Line)]);
        int once = losses.Count(l => l.LossLater is null);
        string by = once == losses.Length
            ? "The highest loss with the finished adapter comes first."
            : "The highest mean loss over the epochs after the first comes first: what is learnt by heart in the end has stood out until then."
                + (once == 0 ? "" : $" {once} of the {losses.Length} rows were seen in one epoch alone and stand by their loss with the finished adapter.");
        return new AttributionReport(losses.Length, by, [.. worst.Select(w => new WorstRow(w.Line, w.Part, w.TrainedTokens, w.LossBefore, w.LossLater, w.LossAfter, excerpts.GetValueOrDefault(w.Line, "")))]);
    }

    private static RowLoss[] Losses(IReadOnlyList<EncodedRow> rows, TrainSettings settings, TrainProgress progress, Trainer trainer, Action<int, int> onRows, CancellationToken cancellation)
    {
        int width = settings.RowsAnItem;
        RowLosses seen = progress.RowLosses!;
        int[] items = [.. Enumerable.Range(0, rows.Count / width).Where(i => seen.First(i * width).Step > 0)];
        double[] after = trainer.LossesOf(
            [.. items.SelectMany(i => Enumerable.Range(i * width, width))], progress.Reference, done => onRows(done / width, items.Length), cancellation);
        ILookup<int, int> ofLine = items.ToLookup(i => rows[i * width].Line);
        return [.. items.Select((item, at) =>
        {
            EncodedRow[] own = [.. Enumerable.Range(item * width, width).Select(i => rows[i])];
            int[] parts = [.. ofLine[own[0].Line]];
            (float before, int step) = seen.First(item * width);
            return new RowLoss(
                own[0].Line, parts.Length > 1 ? Array.IndexOf(parts, item) + 1 : null, own.Sum(r => r.Tokens.Length), own.Sum(r => r.TrainedTokens),
                step, before, seen.Later(item * width), RowLosses.Stored(after[at * width]));
        })];
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(RowLoss))]
internal sealed partial class RowLossJson : JsonSerializerContext;
