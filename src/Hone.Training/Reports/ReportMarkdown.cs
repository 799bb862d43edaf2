using System.Globalization;
using System.Text;
using Hone.Formats;
using Hone.Formats.Jobs;

namespace Hone.Training.Reports;

/// <summary><c>report.md</c>: the report as a person reads it.</summary>
internal static class ReportMarkdown
{
    public static string Write(RunReport report)
    {
        var text = new StringBuilder();
        CultureInfo c = CultureInfo.InvariantCulture;
        FinalMetrics m = report.Metrics;
        text.Append(c, $"# {Cell(report.Name)}\n\nA LoRA adapter for `{report.Base.Id}` ({report.Base.Architecture}, {report.Base.Parameters / 1e6:f0} M parameters, {report.Base.Quantization}), job `{report.JobId}`.\n\n");
        text.Append("| | |\n|---|---|\n");
        text.Append(c, $"| rows | {report.Data.Rows} ({report.Data.Tokens} tokens, {report.Data.TrainedTokens} learnt), validation {report.Data.ValidationRows} |\n");
        text.Append(c, $"| steps | {m.Steps} in {m.Epochs:0.##} epochs |\n| loss | {m.FirstLoss:f4} at the first step, {m.TrainLoss:f4} over the last epoch |\n");
        if (m.ValidationLoss is { } loss)
            text.Append(c, $"| validation | loss {loss:f4}, token accuracy {m.ValidationTokenAccuracy:p1} |\n");
        text.Append(c, $"| time | {m.TrainSeconds:f1} s, {report.Speed.RowsPerSecond:f1} rows/s, {report.Speed.TokensPerSecond:f0} tokens/s on {report.Speed.Device ?? $"{report.Speed.Threads} threads"} |\n| peak memory | {m.PeakMemoryMb:f0} MiB |\n");
        if (report.Proof is { } proof)
            text.Append(c, $"| proof | a fresh process got the trainer's logits on {proof.Rows} rows within {proof.MaxRelativeDifference:g2} (allowed {proof.Tolerance:g1}), and the base's only within {proof.BaseDifference:g2} |\n");
        if (report.Proof?.ServedDifference is { } served)
            text.Append(c, $"| base | trained and proven over the base in {report.Proof.BasePrecision}; engines and merged downloads use the base's own weights, over which the logits lie within {served:g2} of the trainer's |\n");
        if (report.Warnings.Count > 0)
            text.Append("\n## Warnings\n\n").AppendJoin("", report.Warnings.Select(w => $"* {Cell(w)}\n"));
        if (report.Curves is { } curves)
        {
            text.Append(curves.Missing is { } why
                ? $"\n## Curves\n\nThe curves are missing: {Cell(why)} `report.json` has their numbers.\n"
                : $"\n## Curves\n\n![Loss and learning rate]({Curves.SvgName})\n\n{Curves.Caption(report)}\n");
        }
        text.Append("\n## Settings\n\n| setting | value | origin |\n|---|---|---|\n");
        foreach (Setting setting in report.Settings)
            text.Append(c, $"| {setting.Key} | {Cell(setting.Value)} | {Cell(setting.Origin)} |\n");
        if (report.Evaluations.Count > 0)
        {
            text.Append("\n## Validation\n\n| step | loss | token accuracy |\n|---|---|---|\n");
            foreach (var point in report.Evaluations)
                text.Append(c, $"| {point.Step} | {point.Loss:f4} | {point.TokenAccuracy:p1} |\n");
        }
        if (report.Attribution.Worst.Count > 0)
        {
            text.Append(c, $"\n## Rows that fit worst\n\nLook here for wrong labels; `{RowAttribution.FileName}` has all {report.Attribution.Rows} rows. {report.Attribution.By}\n\n| line | loss before | in later epochs | after | row |\n|---|---|---|---|---|\n");
            foreach (WorstRow row in report.Attribution.Worst)
                text.Append(c, $"| {row.Line}{(row.Part is { } part ? $", part {part}" : "")} | {row.LossBefore:f3} | {row.LossLater?.ToString("f3", c) ?? "–"} | {row.LossAfter:f3} | {Cell(row.Excerpt)} |\n");
        }
        if (report.Answers is { Count: > 0 } answers)
        {
            text.Append("\n## Before and after\n\n| line | question | expected | base | adapter |\n|---|---|---|---|---|\n");
            foreach (AnswerReport answer in answers)
                text.Append(c, $"| {answer.Line} | {Cell(answer.Question)} | {Cell(answer.Expected)} | {Cell(answer.Base)} | {Cell(answer.Adapter)} |\n");
        }
        text.Append("\n## Files\n\n| file | bytes | SHA-256 |\n|---|---|---|\n");
        foreach (OutputFile file in report.Files ?? [])
            text.Append(c, $"| {file.Name} | {file.Size} | `{file.Sha256}` |\n");
        text.Append(c, $"\nHone {report.Versions.Hone}, libtorch {report.Versions.Libtorch}, TorchSharp {report.Versions.TorchSharp}, .NET {report.Versions.DotNet}; base SHA-256 `{report.Base.Sha256 ?? "unknown"}`.\n");
        return text.ToString();
    }

    /// <summary>One line, and no character that would leave the cell.</summary>
    private static string Cell(string text) => string.Join(' ', text.Split(['\r', '\n'], StringSplitOptions.RemoveEmptyEntries)).Replace("|", "\\|", StringComparison.Ordinal).Shown(300);
}
