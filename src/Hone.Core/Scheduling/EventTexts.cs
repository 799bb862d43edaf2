using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Core.Finetunes;
using Hone.Formats.Jobs;

namespace Hone.Core.Scheduling;

/// <summary>What a trainer's event is called in a job's log; the wording of OpenAI's API where it has one.</summary>
internal static class EventTexts
{
    private const string Metrics = "metrics";

    /// <param name="again">An earlier attempt has begun the job already.</param>
    public static NewEvent? Of(TrainerEvent e, bool again) => e switch
    {
        TrainerEvent.Started { ResumedFromStep: > 0 } started => new NewEvent(Text($"Fine-tuning job resumed from step {started.ResumedFromStep}")),
        TrainerEvent.Started => new NewEvent(again ? "Fine-tuning job started again from its beginning" : "Fine-tuning job started"),
        TrainerEvent.Settings settings => new NewEvent(
            "Settings: " + string.Join(", ", settings.Values.Select(s => $"{s.Key}={s.Value} ({s.Origin})")),
            DataJson: JsonSerializer.Serialize(settings, JobJson.Default.Settings)),
        TrainerEvent.Message message => new NewEvent(message.Text, message.Level is "warn" or "error" ? message.Level : "info"),
        TrainerEvent.Step step => new NewEvent(
            Text($"Step {step.Number}/{step.Of}: training loss={step.Loss:0.00##}"), Type: Metrics, DataJson: JsonSerializer.Serialize(step, JobJson.Default.Step)),
        TrainerEvent.Evaluation evaluation => new NewEvent(
            Text($"Step {evaluation.AtStep}: validation loss={evaluation.Loss:0.00##}, validation token accuracy={evaluation.TokenAccuracy:0.00##}"),
            Type: Metrics, DataJson: JsonSerializer.Serialize(evaluation, JobJson.Default.Evaluation)),
        TrainerEvent.Proven proven => new NewEvent(
            Text($"Adapter proven by a fresh process on {proven.Rows} rows: logits within {proven.MaxRelativeDifference:0.0e-0} of the trainer's and {proven.BaseDifference:0.###} from the base model's")),
        _ => null,
    };

    /// <summary>The fields of a step, without the name of its type, and when the job is to end, in seconds since 1970.</summary>
    public static string Figures(TrainerEvent.Step step, DateTimeOffset now)
    {
        JsonObject figures = JsonSerializer.SerializeToNode(step, JobJson.Default.Step)!.AsObject();
        figures[EstimatedFinish] = now.AddSeconds(step.SecondsLeft).ToUnixTimeSeconds();
        return figures.ToJsonString();
    }

    public const string EstimatedFinish = "estimated_finish";

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
