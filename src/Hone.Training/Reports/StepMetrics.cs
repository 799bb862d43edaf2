using System.Globalization;
using System.Text;
using Hone.Formats.Files;
using Hone.Training.Training;

namespace Hone.Training.Reports;

/// <summary>
/// <c>step_metrics.csv</c>: a line a step with the columns of OpenAI's result files; what was not measured is an empty cell. It follows from the progress alone, so
/// that of a resumed run equals that of an undisturbed one.
/// </summary>
internal static class StepMetrics
{
    private const string Header = "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy";

    public static void Write(string path, TrainProgress progress) => AtomicFile.WriteAllText(path, Table(progress));

    public static string Table(TrainProgress progress)
    {
        Dictionary<int, EvaluationPoint> evaluated = progress.Evaluations.DistinctBy(e => e.Step).ToDictionary(e => e.Step);
        int unknown = progress.Losses.Count - progress.Accuracies.Count;
        var table = new StringBuilder(Header).Append('\n');
        for (int i = 0; i < progress.Losses.Count; i++)
        {
            EvaluationPoint? point = evaluated.GetValueOrDefault(i + 1);
            string accuracy = i < unknown ? "" : Cell(progress.Accuracies[i - unknown]);
            table.Append(CultureInfo.InvariantCulture, $"{i + 1},{Cell(progress.Losses[i])},{accuracy},{Cell(point?.Loss)},{Cell(point?.TokenAccuracy)}\n");
        }
        return table.ToString();
    }

    private static string Cell(double? value) => value?.ToString("0.#####", CultureInfo.InvariantCulture) ?? "";
}
