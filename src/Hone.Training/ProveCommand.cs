using System.Text.Json;
using Hone.Formats.Adapters;
using Hone.Formats.Files;
using Hone.Formats.Inference;
using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Formats.TrainingData;
using Hone.Training.Generation;
using Hone.Training.Kernels;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Processes;
using Hone.Training.Reports;

namespace Hone.Training;

/// <summary>
/// <c>hone prove JOBDIR</c>: a fresh process that knows only the files. It loads base and adapter, compares logits with the trainer's and with the base's,
/// answers a few held-out rows with both, and completes the report.
/// </summary>
public static class ProveCommand
{
    private const int Answers = 6;
    private const int AnswerTokens = 48;

    public static Task<int> RunAsync(string jobDir, CancellationToken cancellation) =>
        JobCommand.RunAsync(jobDir, (job, events, _) => Prove(jobDir, job, events, cancellation));

    private static void Prove(string folder, JobSpec job, EventWriter events, CancellationToken cancellation)
    {
        string output = Path.Combine(folder, "adapter");
        RunReport run = JsonSerializer.Deserialize(File.ReadAllBytes(Path.Combine(folder, RunReport.FileName)), ReportJson.Default.RunReport)!;
        using BaseModel model = BaseModel.Open(job.ModelPath);
        Cores.Use(job.Threads ?? Environment.ProcessorCount);
        AdapterReport check = AdapterCheck.Check(
            Path.Combine(output, AdapterConfig.FileName), Path.Combine(output, AdapterConfig.WeightsFileName), model, new AdapterLimits { MaxRank = int.MaxValue, MaxBytes = long.MaxValue }, cancellationToken: cancellation);
        if (!check.Ok)
            throw new JobFailedException("proof_failed", $"The trained adapter does not fit its base: {string.Join(" ", check.Errors)}");
        BasePrecision precision = run.Precision;
        using Decoder decoder = DecoderLoader.Load(model.Weights, precision);
        using LoraAdapter adapter = PeftAdapter.Load(output, decoder);
        (double fromTrainer, double fromBase, int rows) = Proof.Compare(folder, decoder, adapter);
        if (!(fromTrainer <= Proof.Tolerance))
            throw new JobFailedException("proof_failed", $"The adapter read back from its files gives other logits than the trainer had: they differ by {fromTrainer:g3}, allowed is {Proof.Tolerance:g1}.");
        if (!(fromBase > Proof.Tolerance))
            throw new JobFailedException("proof_failed", $"The adapter changes nothing: its logits differ from the base model's by {fromBase:g3}. Train longer, or with a higher learning rate.");
        CrashPoint.Here("prove.compared");

        // Answers come from the base that engines have.
        using Decoder? served = precision.Rounds ? DecoderLoader.Load(model.Weights, BasePrecision.AsStored) : null;
        using LoraAdapter? servedAdapter = served is null ? null : PeftAdapter.Load(output, served);
        double? servedDifference = served is null ? null : Proof.Compare(folder, served, servedAdapter!).FromTrainer;

        CurvesReport curves = Curves.Write(output, run);
        RunReport report = run with
        {
            Curves = curves,
            Proof = new ProofReport(rows, fromTrainer, Proof.Tolerance, fromBase) { BasePrecision = precision.Name, ServedDifference = servedDifference },
            Answers = Answer(folder, job, model, served ?? decoder, servedAdapter ?? adapter, cancellation),
            Files = [.. PeftAdapter.FileNames.Append(RowAttribution.FileName).Concat(curves.Files).Select(n => OutputFiles.Describe(output, n))],
        };
        AtomicFile.WriteAllText(Path.Combine(output, "report.json"), JsonSerializer.Serialize(report, ReportJson.Default.RunReport) + "\n");
        AtomicFile.WriteAllText(Path.Combine(output, "report.md"), ReportMarkdown.Write(report));
        CrashPoint.Here("prove.report_written");
        events.Write(new TrainerEvent.Proven(fromTrainer, fromBase, rows, [.. curves.Files.Prepend("report.md").Prepend("report.json").Select(n => OutputFiles.Describe(output, n))]));
    }

    /// <summary>Held-out rows that end in an answer, asked without it, greedily, with and without the adapter.</summary>
    private static List<AnswerReport> Answer(string folder, JobSpec job, BaseModel model, Decoder decoder, LoraAdapter adapter, CancellationToken cancellation)
    {
        if (job.ValidationData is not { } name)
            return [];
        var rows = new List<(int Line, string Question, string Expected, GenerationStream Base, GenerationStream Adapter)>();
        foreach (TrainingRow row in RowReader.Read(Path.Combine(folder, name)))
        {
            if (rows.Count == Answers)
                break;
            if (Question(row) is not var (messages, question, expected))
                continue;
            // Room for the expected answer and a little more: enough to see where the base goes astray.
            int room = Math.Min(AnswerTokens, 2 * model.Tokenizer.Encode(expected).Ids.Length + 8);
            var request = new GenerateRequest { Messages = messages, MaxTokens = room };
            int[] prompt = PromptEncoder.Encode(model, request, cancellation);
            if (prompt.Length < model.Config.ContextLength)
                rows.Add((row.Line, question, expected, new(model, request, prompt, null, cancellation), new(model, request, prompt, adapter, cancellation)));
        }
        GenerationStream[] streams = [.. rows.SelectMany(r => new[] { r.Base, r.Adapter })];
        while (streams.Any(s => !s.Finished))
        {
            cancellation.ThrowIfCancellationRequested();
            Generator.Pass(decoder, [.. streams.Where(s => !s.Finished)]);
        }
        List<AnswerReport> answers = [.. rows.Select(r => new AnswerReport(r.Line, r.Question, r.Expected, Generator.TextOf(r.Base), Generator.TextOf(r.Adapter)))];
        foreach (GenerationStream stream in streams)
            stream.Dispose();
        return answers;
    }

    private static (JsonElement Messages, string Question, string Expected)? Question(TrainingRow row)
    {
        if (row.Kind == RowKind.PromptCompletion)
        {
            string prompt = row.Json.GetProperty("prompt").GetString()!;
            return (JsonSerializer.SerializeToElement(new[] { new Dictionary<string, string> { ["role"] = "user", ["content"] = prompt } }), prompt, row.Json.GetProperty("completion").GetString()!);
        }
        if (row.Kind != RowKind.Chat)
            return null;
        JsonElement[] messages = [.. row.Json.GetProperty("messages").EnumerateArray()];
        if (messages.Length < 2 || messages[^1].GetProperty("role").GetString() != "assistant" || !Text(messages[^1], out string expected) || !Text(messages[^2], out string question))
            return null;
        return (JsonSerializer.SerializeToElement(messages[..^1]), question, expected);

        static bool Text(JsonElement message, out string text)
        {
            bool isText = message.TryGetProperty("content", out JsonElement content) && content.ValueKind == JsonValueKind.String;
            text = isText ? content.GetString()! : "";
            return isText;
        }
    }
}
