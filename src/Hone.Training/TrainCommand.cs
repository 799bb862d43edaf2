using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using Hone.Formats.Adapters;
using Hone.Formats.Files;
using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Formats.TrainingData;
using Hone.Training.Checkpoints;
using Hone.Training.Devices;
using Hone.Training.Kernels;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Processes;
using Hone.Training.Reports;
using Hone.Training.Training;
using Encoding = System.Text.Encoding;

namespace Hone.Training;

/// <summary>
/// <c>hone train JOBDIR</c>: one attempt at one job. Reads <c>job.json</c>, writes events to standard output and checkpoints, <c>adapter/</c>,
/// <c>proof.safetensors</c> and <c>run.json</c> into its folder.
/// <list type="number">
/// <item>read and encode the rows</item><item>resolve the settings</item><item>load the base and start the adapter, from nothing or from another one, or resume it</item>
/// <item>train, or as far as the worker lets it</item><item>write the rows' losses, the adapter and what its proof needs</item>
/// </list>
/// </summary>
public static class TrainCommand
{
    /// <summary>Between two messages of how far the rows' losses are.</summary>
    private static readonly TimeSpan ProgressEvery = TimeSpan.FromSeconds(30);

    /// <summary>Of the time from this process's start to the first step: the proof's process starts in the same way, then answers with base and adapter and draws the curves.</summary>
    private const double ProofShare = 3;

    public static Task<int> RunAsync(string jobDir, CancellationToken cancellation) =>
        JobCommand.RunAsync(jobDir, (job, events, pause) => Train(jobDir, job, events, pause, cancellation));

    private static void Train(string folder, JobSpec job, EventWriter events, CancellationToken pause, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        using BaseModel model = BaseModel.Open(job.ModelPath);
        // 1
        var warnings = new List<string>();
        using TrainingRows data = TrainingRows.Read(folder, job, model, Warn);
        (EncodedRowFile rows, IReadOnlyList<EncodedRow> validation, bool pairs) = (data.Rows, data.Validation, data.PreferencePairs);
        CrashPoint.Here("train.rows");
        Cores.Use(job.Threads ?? Environment.ProcessorCount);
        // 2
        if (job.Config.StartFrom is { } named && job.StartAdapter is null)
            throw new JobFailedException("bad_config", $"start_from names {named}, but {JobSpec.FileName} has no start_adapter: the two files to go on with.");
        using AdapterFiles? from = job.StartAdapter is { } files ? AdapterFiles.Open(Path.Combine(folder, files.Config), Path.Combine(folder, files.Weights), model.Config) : null;
        TrainSettings settings = TrainSettings.Resolve(job.Config, model.Config, job.JobId, rows.Count / (pairs ? 2 : 1), rows.TrainedTokens, pairs, from?.Config);
        Func<TrainSettings, bool>? isOfCheckpoint = job.ResumeFrom is { } checkpoint && Checkpoint.FingerprintOf(Path.Combine(folder, checkpoint)) is { } left ? s => Fingerprint(s, rows, job) == left : null;
        settings = MachineChoices.Complete(settings, job, model, rows, TrainingDevice.Find(), isOfCheckpoint, checksLosses: true, cancellation);
        events.Write(new TrainerEvent.Settings(settings.Origins));
        if (settings.Device is { Device: null } refused)
            Warn($"{Libtorch.Variable} is set, and the training runs on the CPU: {refused.Why}.");
        // 3
        using Decoder decoder = DecoderLoader.Load(model.Weights, settings.Precision);
        using DeviceDecoder? onDevice = settings.Device?.Device is { } device ? new DeviceDecoder(decoder, device) : null;
        using LoraAdapter adapter = PeftAdapter.Create(settings, model, decoder);
        using var optimizer = new AdamW(adapter.Parameters.numel(), settings.WeightDecay);
        string fingerprint = Fingerprint(settings, rows, job);
        TrainProgress start = new();
        if (job.ResumeFrom is { } resume && Checkpoint.TryLoad(Path.Combine(folder, resume), adapter, optimizer, fingerprint) is { } found)
            start = found;
        else if (from is not null)
            PeftAdapter.Read(from, adapter);
        else
            decoder.Start(adapter, settings.Seed);
        using LoraAdapter? reference = from is not null && settings.IsPreference ? PeftAdapter.Load(from, decoder) : null;
        events.Write(new TrainerEvent.Started(start.Step, Environment.ProcessId));
        CrashPoint.Here("train.started");
        // 4
        var kept = new Queue<string>();
        var trainer = new Trainer((TrainingDecoder?)onDevice ?? decoder, adapter, optimizer, settings, rows, validation)
        {
            OnEpoch = at => WhereThereIsSpace($"The adapter of step {at.Step}", () => SaveAdapter(at)),
            Reference = reference,
            Pause = pause,
            SecondsAfter = ProofShare * clock.Elapsed.TotalSeconds,
        };
        TrainProgress progress = trainer.Run(start, OnEvent, at => WhereThereIsSpace($"The checkpoint of step {at.Step}", () => Save(at)), cancellation);
        CrashPoint.Here("train.trained");
        if (trainer.IsPaused)
        {
            events.Write(new TrainerEvent.Paused(progress.Step));
            return;
        }
        // 5
        string output = Path.Combine(folder, "adapter");
        Directory.CreateDirectory(output);
        AttributionReport attribution;
        var told = Stopwatch.StartNew();
        using (var either = CancellationTokenSource.CreateLinkedTokenSource(pause, cancellation))
        {
            try
            {
                attribution = RowAttribution.Write(
                    Path.Combine(output, RowAttribution.FileName), Path.Combine(folder, job.TrainingData), rows, settings, progress, trainer, OnRows, either.Token);
            }
            catch (OperationCanceledException) when (pause.IsCancellationRequested)
            {
                // The checkpoint of the last step is told of already.
                events.Write(new TrainerEvent.Paused(progress.Step));
                return;
            }
        }
        StepMetrics.Write(Path.Combine(output, JobFiles.StepMetrics), progress);
        var run = RunReport.Of(job, model, settings, rows, validation, progress, warnings, attribution, ChildLifetime.PeakMemoryMb());
        PeftAdapter.Save(output, adapter, settings, model, job.ModelId, job.ModelSha256);
        CrashPoint.Here("train.adapter_written");
        Proof.Write(folder, decoder, adapter, validation.Count > 0 ? validation : rows);
        AtomicFile.WriteAllText(Path.Combine(folder, RunReport.FileName), JsonSerializer.Serialize(run, ReportJson.Default.RunReport));
        events.Write(new TrainerEvent.Finished([.. PeftAdapter.FileNames.Append(RowAttribution.FileName).Append(JobFiles.StepMetrics).Select(n => OutputFiles.Describe(output, n))], run.Metrics));

        void Warn(string text)
        {
            warnings.Add(text);
            events.Write(new TrainerEvent.Message("warn", text));
        }

        void OnRows(int done, int of)
        {
            if (told.Elapsed < ProgressEvery)
                return;
            told.Restart();
            events.Write(new TrainerEvent.Message("info", string.Create(CultureInfo.InvariantCulture, $"Losses with the finished adapter: {done:N0} of {of:N0} rows")));
        }

        void OnEvent(TrainerEvent next)
        {
            events.Write(next);
            if (next is TrainerEvent.Step { Number: var step })
                CrashPoint.Here($"train.step.{step}");
        }

        // There may be room again before the training ends, which needs none of these to end well.
        void WhereThereIsSpace(string what, Action save)
        {
            try
            {
                save();
            }
            catch (IOException e) when (AtomicFile.IsFull(e))
            {
                Warn($"{what} could not be written: the server's disk is full.");
            }
        }

        void SaveAdapter(TrainProgress progress)
        {
            string name = string.Create(CultureInfo.InvariantCulture, $"adapters/{progress.Step}");
            Directory.CreateDirectory(Path.Combine(folder, name));
            PeftAdapter.Save(Path.Combine(folder, name), adapter, settings, model, job.ModelId, job.ModelSha256);
            EvaluationPoint? evaluated = progress.Evaluations is [.., { } last] && last.Step == progress.Step ? last : null;
            events.Write(new TrainerEvent.AdapterSaved(
                progress.Step, [.. PeftAdapter.FileNames.Select(n => OutputFiles.Describe(folder, $"{name}/{n}"))],
                new CheckpointMetrics(progress.Step, progress.Losses[^1], progress.Accuracies[^1], evaluated?.Loss, evaluated?.TokenAccuracy)));
            CrashPoint.Here("train.adapter_saved");
        }

        void Save(TrainProgress progress)
        {
            string name = $"checkpoint-{progress.Step}.safetensors";
            string path = Path.Combine(folder, name);
            CrashPoint.Here("train.before_checkpoint");
            Checkpoint.Save(path, adapter, optimizer, progress, fingerprint);
            CrashPoint.Here("train.after_checkpoint");
            events.Write(new TrainerEvent.Checkpoint(progress.Step, name, OutputFiles.Describe(folder, name).Sha256));
            // The worker may still be reading the one before; the one before that is nobody's.
            kept.Enqueue(path);
            if (kept.Count > 2)
                File.Delete(kept.Dequeue());
        }
    }

    /// <summary>Settings, rows and base in one hash; the times between checkpoints and what is computed again change nothing, and a run may go on elsewhere.</summary>
    private static string Fingerprint(TrainSettings settings, EncodedRowFile rows, JobSpec job)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (Setting setting in settings.Origins.Where(s => s.Key is not ("checkpoint_every" or "eval_every" or "recompute" or "device")))
            hash.AppendData(Encoding.UTF8.GetBytes($"{setting.Key}={setting.Value}\n"));
        hash.AppendData(Encoding.UTF8.GetBytes(job.ModelSha256 ?? job.ModelId));
        hash.AppendData(Encoding.UTF8.GetBytes(rows.Sha256));
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
