using System.Diagnostics;
using Hone.Formats;
using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Formats.TrainingData;
using Hone.Training.Kernels;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Training;

namespace Hone.Training.Estimates;

/// <summary>
/// <c>hone estimate</c>: (1) the rows and the settings as the trainer would have them, (2) the steps of an epoch packed, (3) a few of them run, (4) the whole from both; the
/// memory from the shapes, see <see cref="ModelMemory"/>.
/// </summary>
public static class Estimator
{
    /// <summary>Steps that are packed to count their tokens; of longer epochs evenly chosen ones stand for all.</summary>
    private const int PackedSteps = 2000;

    /// <summary>Passes of the rows, and of the validation rows, that are packed for the size of those that compute losses alone.</summary>
    private const int EvaluatedPasses = 64;

    /// <summary>No further pass is probed after this time.</summary>
    private const double ProbeSeconds = 10;

    /// <summary>Of a row of the pass that warms up, at most.</summary>
    private const int WarmTokens = 1024;

    /// <exception cref="InvalidFileException">Model or rows cannot be trained on.</exception>
    public static CostEstimate Run(EstimateRequest request, CancellationToken cancellation)
    {
        try
        {
            return Estimate(request, cancellation);
        }
        catch (JobFailedException e)
        {
            throw new InvalidFileException(e.Message, e);
        }
    }

    private static CostEstimate Estimate(EstimateRequest request, CancellationToken cancellation)
    {
        Cores.Use(request.Threads ?? Environment.ProcessorCount);
        using BaseModel model = BaseModel.Open(request.ModelPath);
        // 1
        LintReport lint = Linter.Lint(
            new LintRequest { TrainingPath = request.TrainingPath, ValidationPath = request.ValidationPath, Config = request.Config, MinTrainingRows = 1 }, cancellation);
        if (!lint.Ok)
            throw new InvalidFileException($"{lint.Errors[0]} hone lint says all that is wrong with the files.");
        var warnings = new List<string>();
        if (new LintRequest().MinTrainingRows is var least && lint.Stats.Rows < least)
            warnings.Add($"A job takes no fewer than {least} rows; there are {lint.Stats.Rows}.");
        var job = new JobSpec
        {
            JobId = "estimate",
            Fence = 1,
            Name = "estimate",
            ModelId = request.ModelPath,
            ModelPath = request.ModelPath,
            TrainingData = Path.GetFullPath(request.TrainingPath),
            ValidationData = request.ValidationPath is null ? null : Path.GetFullPath(request.ValidationPath),
            Config = request.Config,
        };
        using TrainingRows data = TrainingRows.Read("", job, model, warnings.Add);
        (EncodedRowFile rows, IReadOnlyList<EncodedRow> validation, bool pairs) = (data.Rows, data.Validation, data.PreferencePairs);
        int items = rows.Count / (pairs ? 2 : 1);
        long trained = rows.TrainedTokens;
        TrainSettings settings = TrainSettings.Resolve(request.Config, model.Config, job.JobId, items, trained, pairs);
        settings = MachineChoices.Complete(settings, job, model, rows, null, null, checksLosses: false, cancellation);
        using Decoder decoder = DecoderLoader.Load(model.Weights, settings.Precision);
        using LoraAdapter adapter = PeftAdapter.Create(settings, model, decoder);
        adapter.Initialize(settings.Seed, decoder.RowNorms);
        using var optimizer = new AdamW(adapter.Parameters.numel(), settings.WeightDecay);
        var trainer = new Trainer(decoder, adapter, optimizer, settings, rows, validation);
        // 2
        int stepsAnEpoch = settings.Steps / settings.Epochs, stride = (stepsAnEpoch + PackedSteps - 1) / PackedSteps;
        var steps = new List<(int Step, long Tokens)>();
        var sizes = new HashSet<PassSize>();
        for (int step = 1; step <= stepsAnEpoch; step += stride)
        {
            cancellation.ThrowIfCancellationRequested();
            PackedBatch[] passes = [.. trainer.Passes(trainer.RowsOf(step)).Select(PackedBatch.Pack)];
            steps.Add((step, passes.Sum(p => (long)p.Tokens.Length)));
            sizes.UnionWith(passes.Select(PrefixTreeAttention.SizeOf));
        }
        IEnumerable<IReadOnlyList<EncodedRow>> forwardAlone = [.. trainer.Passes(rows).Take(EvaluatedPasses), .. trainer.Passes(validation).Take(EvaluatedPasses)];
        int largest = forwardAlone.Max(pass => PackedBatch.Pack(pass).Tokens.Length);
        double distinct = steps.Average(s => (double)s.Tokens) * settings.Steps;
        // 3
        (double rate, int probed, double seconds) = Probe(trainer, [.. steps.OrderBy(s => s.Tokens)], pairs, cancellation);
        double forward = ForwardSeconds(trainer, rows, settings, cancellation), ofValidation = validation.Sum(r => (double)r.Tokens.Length);
        double evaluated = ofValidation * ((settings.Steps + settings.EvalEvery - 1) / settings.EvalEvery) + rows.Tokens;
        double reference = pairs ? (rows.Tokens + ofValidation) * forward : 0; // of each row once in a run
        // 4
        return new CostEstimate(
            items, validation.Count / settings.RowsAnItem, settings.Epochs, settings.BatchSize, settings.Steps, rows.Tokens * settings.Epochs, (long)distinct,
            trained * settings.Epochs, distinct / rate + reference, forward * evaluated, PeakMemory(model, settings, sizes, largest) / (1024.0 * 1024), rate, probed, seconds, Cores.Count, settings.Origins, warnings);
    }

    /// <summary>In bytes, with the largest of the passes.</summary>
    private static long PeakMemory(BaseModel model, TrainSettings settings, HashSet<PassSize> passes, int evaluated)
    {
        AdapterSize size = PeftAdapter.SizeOf(settings, model.Weights);
        long stored = ModelFiles.Stamp(model.Path).Size;
        bool hasParts = model.HasParts;
        return passes.Max(pass => ModelMemory.OfTraining(model.Config, stored, size, pass, evaluated, settings.Precision, settings.Recompute, hasParts).Total);
    }

    /// <summary>The first passes of steps of few, of middling and of many tokens, with DPO's reference known.</summary>
    private static (double TokensPerSecond, int Passes, double Seconds) Probe(Trainer trainer, (int Step, long Tokens)[] bySize, bool pairs, CancellationToken cancellation)
    {
        var known = pairs ? new ReferenceLogProbabilities(new float[2]) : null;
        var began = Stopwatch.StartNew();
        Take(0.5, Beginning); // compiled, and its memory at hand, from here on
        double seconds = 0;
        long tokens = 0;
        int probed = 0;
        foreach (double share in new[] { 0.5, 0.8, 0.2, 0.65, 0.35 })
        {
            if (probed > 0 && began.Elapsed.TotalSeconds > ProbeSeconds)
                break;
            cancellation.ThrowIfCancellationRequested();
            long start = Stopwatch.GetTimestamp();
            tokens += Take(share, row => row);
            seconds += Stopwatch.GetElapsedTime(start).TotalSeconds;
            probed++;
        }
        return (tokens / seconds, probed, began.Elapsed.TotalSeconds);

        int Take(double share, Func<EncodedRow, EncodedRow> cut)
        {
            EncodedRow[] rows = [.. trainer.Passes(trainer.RowsOf(bySize[(int)(share * bySize.Length)].Step)).First().Select(cut)];
            return trainer.Step(1, rows, new Chosen(new int[rows.Length], known)).Tokens;
        }
    }

    private static EncodedRow Beginning(EncodedRow row)
    {
        if (row.Tokens.Length <= WarmTokens)
            return row;
        bool[] trained = row.Trained[..WarmTokens];
        trained[^1] = true; // a step without a label is none
        return new EncodedRow(row.Line, row.Tokens[..WarmTokens], trained);
    }

    /// <summary>Of a pass forward, for each token of its rows.</summary>
    private static double ForwardSeconds(Trainer trainer, EncodedRowFile rows, TrainSettings settings, CancellationToken cancellation)
    {
        var chosen = new List<int>();
        for (int i = 0, tokens = 0; i < rows.Count && tokens < ModelMemory.PassTokens / 4; i += settings.RowsAnItem)
        {
            chosen.AddRange(Enumerable.Range(i, settings.RowsAnItem));
            tokens += rows[i].Tokens.Length * settings.RowsAnItem;
        }
        var reference = settings.IsPreference ? new ReferenceLogProbabilities(rows.Count) : null;
        Losses(); // a pair's reference is computed once in a run
        long start = Stopwatch.GetTimestamp();
        Losses();
        return Stopwatch.GetElapsedTime(start).TotalSeconds / chosen.Sum(i => rows[i].Tokens.Length);

        void Losses() => trainer.LossesOf([.. chosen], reference, _ => { }, cancellation);
    }
}
