using System.Diagnostics;
using System.Globalization;
using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Formats.TrainingData;
using Hone.Training.Lora;
using Hone.Training.Model;
using TorchSharp;

namespace Hone.Training.Training;

/// <summary>Training ended because a number was no longer finite.</summary>
internal sealed class NotFiniteException(string message) : Exception(message);

/// <param name="TokenAccuracy">Share of the learnt tokens that were the likeliest; with preference pairs, of the pairs whose better answer has the higher reward.</param>
internal sealed record EvaluationPoint(int Step, double Loss, double TokenAccuracy);

/// <param name="Accuracy">As <see cref="EvaluationPoint.TokenAccuracy"/>.</param>
/// <param name="GradNorm">Before clipping.</param>
/// <param name="Tokens">Computed: distinct prefixes.</param>
/// <param name="RowLosses">The mean over each row's labels, or the loss of its pair, before the update.</param>
internal sealed record StepResult(double Loss, double Accuracy, double GradNorm, int Tokens, int TrainedTokens, IReadOnlyList<double> RowLosses);

/// <summary>
/// The training loop: rows of a step → packed batches → gradients → clipping → AdamW. Which rows make a step follows from the seed and the step's number
/// alone, so a resumed run does what an undisturbed one would have done.
/// </summary>
/// <param name="rows">With preference pairs, row 2i is the better answer and row 2i + 1 the worse one.</param>
internal sealed class Trainer(
    TrainingDecoder decoder, LoraAdapter adapter, AdamW optimizer, TrainSettings settings,
    IReadOnlyList<EncodedRow> rows, IReadOnlyList<EncodedRow> validation)
{
    /// <summary>Of an epoch's steps, how many lie above the first where nothing is learnt.</summary>
    private const double AboveShare = 0.9;

    private readonly int _rowsAnItem = settings.RowsAnItem;
    private readonly int _stepsAnEpoch = (rows.Count / settings.RowsAnItem + settings.BatchSize - 1) / settings.BatchSize;
    private (int Epoch, int[] Order) _order = (-1, []);

    // DPO: the reference's log-probabilities of the validation rows, pass by pass.
    private readonly Dictionary<int, double[]> _validationReference = [];

    /// <summary>Told at the end of each epoch, and where the run ends before one does.</summary>
    public Action<TrainProgress>? OnEpoch { get; init; }

    /// <summary>DPO's reference, where that is not the base: the adapter that the run started from.</summary>
    public LoraAdapter? Reference { get; init; }

    /// <summary>Cancelled when the run is to end before its next step, with a checkpoint.</summary>
    public CancellationToken Pause { get; init; }

    /// <summary>What the job takes after the last step, as far as it is known.</summary>
    public double SecondsAfter { get; init; }

    /// <summary>The run has ended for <see cref="Pause"/>; steps are left.</summary>
    public bool IsPaused { get; private set; }

    /// <param name="progress">What is done already; it grows.</param>
    /// <param name="onEvent">Progress as it happens.</param>
    /// <param name="onCheckpoint">Called where a checkpoint is due, and after the last step.</param>
    public TrainProgress Run(TrainProgress progress, Action<TrainerEvent> onEvent, Action<TrainProgress> onCheckpoint, CancellationToken cancellation)
    {
        progress.Begin(rows.Count, settings.IsPreference);
        int begun = progress.Step;
        var clock = Stopwatch.StartNew();
        double sinceCheckpoint = 0;
        TimeLeft left = Plan(begun);
        for (int step = begun + 1; step <= settings.Steps && !IsWorse(progress); step++)
        {
            cancellation.ThrowIfCancellationRequested();
            if (Pause.IsCancellationRequested)
            {
                IsPaused = true;
                onCheckpoint(progress);
                return progress;
            }
            double before = clock.Elapsed.TotalSeconds;
            int[] chosen = [.. IndexesOf(step)];
            StepResult result = Step(step, [.. chosen.Select(i => rows[i])], new Chosen(chosen, progress.Reference));
            double seconds = clock.Elapsed.TotalSeconds - before;
            sinceCheckpoint += seconds;
            progress.Add(step, chosen, result, seconds);
            left.Step(chosen.Sum(i => (long)rows[i].Tokens.Length), seconds);
            onEvent(new TrainerEvent.Step(
                step, settings.Steps, (double)step * settings.Epochs / settings.Steps, result.Loss, result.Accuracy,
                settings.LearningRateAt(step), result.GradNorm, result.Tokens / seconds, chosen.Length / _rowsAnItem / seconds, progress.Tokens, progress.TrainedTokens,
                left.After(step)));

            if (progress.Warnings.Count == 0 && NothingLearnt(step, progress.Losses) is { } warning)
                Warn(warning);
            if (validation.Count > 0 && (step % settings.EvalEvery == 0 || step == settings.Steps))
            {
                before = clock.Elapsed.TotalSeconds;
                EvaluationPoint point = Evaluate(step);
                left.Evaluation(clock.Elapsed.TotalSeconds - before);
                if (!double.IsFinite(point.Loss))
                    throw new NotFiniteException($"Step {step}: the validation loss is not finite ({point.Loss}). Lower the learning rate.");
                progress.Add(point);
                onEvent(new TrainerEvent.Evaluation(step, (double)step * settings.Epochs / settings.Steps, point.Loss, point.TokenAccuracy));
                if (IsWorse(progress))
                {
                    Warn(string.Create(CultureInfo.InvariantCulture, $"Stopped at step {step}: the validation loss rose from {progress.Evaluations[^2].Loss:f4} to {point.Loss:f4}, and stop_when_worse is set."));
                    OnEpoch?.Invoke(progress);
                    onCheckpoint(progress);
                    return progress;
                }
            }
            if (step % _stepsAnEpoch == 0)
            {
                before = clock.Elapsed.TotalSeconds;
                OnEpoch?.Invoke(progress);
                left.Epoch(clock.Elapsed.TotalSeconds - before);
            }
            if (step == settings.Steps || sinceCheckpoint >= settings.CheckpointEvery || (settings.CheckpointSteps is { } every && step % every == 0))
            {
                sinceCheckpoint = 0;
                onCheckpoint(progress);
            }
        }
        return progress;

        void Warn(string text)
        {
            progress.Warn(text);
            onEvent(new TrainerEvent.Message("warn", text));
        }
    }

    private TimeLeft Plan(int begun)
    {
        long epoch = rows is EncodedRowFile file ? file.Tokens : rows.Sum(r => (long)r.Tokens.Length);
        int whole = begun / _stepsAnEpoch;
        long done = whole * epoch + Enumerable.Range(whole * _stepsAnEpoch + 1, begun - whole * _stepsAnEpoch).Sum(step => IndexesOf(step).Sum(i => (long)rows[i].Tokens.Length));
        var plan = new RunPlan(settings.Steps, _stepsAnEpoch, settings.EvalEvery, epoch, validation.Sum(r => (long)r.Tokens.Length), settings.IsPreference, SecondsAfter);
        return new TimeLeft(plan, done);
    }

    /// <summary>The last thing that the run did was an evaluation that ends it; so it is after a resume as well.</summary>
    private bool IsWorse(TrainProgress progress) =>
        settings.StopWhenWorse && progress.Evaluations is [.., { } before, { } last] && last.Step == progress.Step && last.Loss > before.Loss;

    /// <summary>
    /// At the end of an epoch: a warning where its losses stayed above the first step's. A few steps of easier rows do not excuse the others. Where most of what was
    /// done is the warm-up, it is too early to say: an adapter that is gone on with begins low.
    /// </summary>
    private string? NothingLearnt(int step, IReadOnlyList<double> losses)
    {
        if (step % _stepsAnEpoch != 0 || step <= 2 * settings.WarmupSteps)
            return null;
        double first = losses[0];
        double[] epoch = [.. losses.Skip(Math.Max(1, step - _stepsAnEpoch)).Take(_stepsAnEpoch)];
        if (epoch.Length == 0 || epoch.Average() <= first || epoch.Count(loss => loss > first) < AboveShare * epoch.Length)
            return null;
        return string.Create(CultureInfo.InvariantCulture,
            $"Steps {step - epoch.Length + 1} to {step}: the loss stayed above the first step's {first:f4} for a whole epoch, {epoch.Average():f4} on average. The adapter learns nothing, or the learning rate {settings.LearningRate:g3} destroys it: use a lower one.");
    }

    /// <summary>One optimiser step; the loss is the mean over the trained tokens (or the pairs) of all its rows, whatever passes they are computed in.</summary>
    /// <param name="chosen">Where the rows stand in the data, where something is known of them.</param>
    public StepResult Step(int step, IReadOnlyList<EncodedRow> batch, Chosen? chosen = null)
    {
        using var scope = torch.NewDisposeScope();
        adapter.Gradients!.zero_();
        decoder.Recomputes = settings.Recompute;
        adapter.DropoutSeed = new SplitMix64(settings.Seed, $"dropout {step}").Next();
        PackedBatch[] passes = [.. Passes(batch).Select(PackedBatch.Pack)];
        double trained = passes.Sum(p => p.TotalWeight), divisor = passes.Sum(Weight);
        double loss = 0, right = 0;
        var ofRows = new List<double>(batch.Count);
        using (adapter.Unchanged())
        {
            foreach (PackedBatch pass in passes)
            {
                PassResult part = Pass(pass, divisor, learns: true, settings.IsPreference ? chosen?.Reference(decoder, Reference, pass, ofRows.Count) : null);
                loss += part.Loss;
                right += part.Right;
                ofRows.AddRange(part.OfRows);
            }
        }
        double norm = AdamW.Norm(adapter.Gradients);
        if (!double.IsFinite(loss) || !double.IsFinite(norm))
        {
            throw NotFinite(step, batch, $"the {(double.IsFinite(loss) ? "gradient norm" : "loss")} is not finite (loss {loss}, gradient norm {norm})");
        }
        double clip = settings.MaxGradNorm > 0 ? Math.Min(1, settings.MaxGradNorm / (norm + 1e-6)) : 1;
        optimizer.Update(adapter.Parameters, adapter.Gradients, step, settings.LearningRateAt(step), clip);
        // Before anything of it reaches a checkpoint.
        if (!double.IsFinite(AdamW.Norm(adapter.Parameters)))
            throw NotFinite(step, batch, "the update has made the adapter's weights not finite");
        return new StepResult(loss, right / divisor, norm, passes.Sum(p => p.Tokens.Length), (int)trained, ofRows);
    }

    private static NotFiniteException NotFinite(int step, IReadOnlyList<EncodedRow> batch, string what) => new(
        $"Step {step}: {what}; its rows are lines {string.Join(", ", batch.Select(r => r.Line))} of the training data. Lower the learning rate, or look at these rows.");

    /// <summary>The losses of some rows, whole pairs of them, with the adapter as it is: passes forward alone.</summary>
    /// <param name="reference">With pairs, what is known of its log-probabilities; it grows.</param>
    /// <param name="onRows">Told after each pass how many rows are done.</param>
    public double[] LossesOf(int[] indexes, ReferenceLogProbabilities? reference, Action<int> onRows, CancellationToken cancellation)
    {
        var losses = new List<double>(indexes.Length);
        var chosen = new Chosen(indexes, reference);
        using IDisposable unchanged = adapter.Unchanged();
        foreach (PackedBatch pass in Passes(indexes.Select(i => rows[i])).Select(PackedBatch.Pack))
        {
            cancellation.ThrowIfCancellationRequested();
            losses.AddRange(Pass(pass, 1, learns: false, chosen.Reference(decoder, Reference, pass, losses.Count)).OfRows);
            onRows(losses.Count);
        }
        return [.. losses];
    }

    /// <summary>Mean loss and accuracy over the validation rows, with the adapter as it is.</summary>
    public EvaluationPoint Evaluate(int step)
    {
        double loss = 0, right = 0, divisor = 0;
        int number = 0;
        using IDisposable unchanged = adapter.Unchanged();
        foreach (PackedBatch pass in Passes(validation).Select(PackedBatch.Pack))
        {
            double[]? reference = null;
            if (settings.IsPreference && !_validationReference.TryGetValue(number, out reference))
                _validationReference[number] = reference = decoder.RowLogProbabilities(pass, Reference);
            PassResult part = Pass(pass, 1, learns: false, reference);
            loss += part.Loss;
            right += part.Right;
            divisor += Weight(pass);
            number++;
        }
        return new EvaluationPoint(step, loss / divisor, right / divisor);
    }

    /// <summary>One pass by the run's method: here and in <see cref="Weight"/> alone the methods part.</summary>
    /// <param name="learns">Adds the gradients.</param>
    /// <param name="reference">With pairs, the reference's log-probability of each row where it is known.</param>
    private PassResult Pass(PackedBatch pass, double divisor, bool learns, double[]? reference)
    {
        if (settings.IsPreference)
        {
            reference ??= decoder.RowLogProbabilities(pass, Reference);
            PreferenceLoss pairs = learns ? decoder.ForwardBackward(pass, adapter, settings.Beta, divisor, reference) : decoder.Loss(pass, adapter, settings.Beta, divisor, reference);
            return new PassResult(pairs.Loss, pairs.Right, pairs.OfRows());
        }
        LabelLoss labels = learns ? decoder.ForwardBackward(pass, adapter, divisor) : decoder.Loss(pass, adapter, divisor);
        return new PassResult(labels.Loss, labels.Correct, labels.OfRows(pass));
    }

    /// <summary>What a loss is the mean over: trained tokens, or pairs.</summary>
    private double Weight(PackedBatch pass) => settings.IsPreference ? pass.Rows / 2 : pass.TotalWeight;

    /// <param name="Right">Weight of what was predicted right.</param>
    private sealed record PassResult(double Loss, double Right, IEnumerable<double> OfRows);

    /// <summary>The rows of a step: the epoch's order is a shuffle seeded by the epoch's number.</summary>
    public IReadOnlyList<EncodedRow> RowsOf(int step) => [.. IndexesOf(step).Select(i => rows[i])];

    private IEnumerable<int> IndexesOf(int step)
    {
        int items = rows.Count / _rowsAnItem, epoch = (step - 1) / _stepsAnEpoch, within = (step - 1) % _stepsAnEpoch;
        if (_order.Epoch != epoch)
            _order = (epoch, Shuffle(items, settings.Seed, epoch));
        return _order.Order.Skip(within * settings.BatchSize).Take(settings.BatchSize).SelectMany(i => Enumerable.Range(i * _rowsAnItem, _rowsAnItem));
    }

    /// <summary>Fisher and Yates.</summary>
    private static int[] Shuffle(int count, long seed, int epoch)
    {
        var random = new SplitMix64(seed, $"epoch {epoch}");
        int[] order = [.. Enumerable.Range(0, count)];
        for (int i = count - 1; i > 0; i--)
        {
            int j = random.NextInt(i + 1);
            (order[i], order[j]) = (order[j], order[i]);
        }
        return order;
    }

    /// <summary>Neighbouring rows together, up to the tokens of a pass; a longer row, or pair, is a pass of its own.</summary>
    public IEnumerable<IReadOnlyList<EncodedRow>> Passes(IEnumerable<EncodedRow> rows)
    {
        var pass = new List<EncodedRow>();
        int tokens = 0;
        foreach (EncodedRow[] item in rows.Chunk(_rowsAnItem))
        {
            int length = item.Sum(r => r.Tokens.Length);
            if (pass.Count > 0 && tokens + length > ModelMemory.PassTokens)
            {
                yield return pass;
                (pass, tokens) = ([], 0);
            }
            pass.AddRange(item);
            tokens += length;
        }
        if (pass.Count > 0)
            yield return pass;
    }
}
