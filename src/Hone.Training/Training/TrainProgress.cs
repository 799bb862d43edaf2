using System.Text.Json.Serialization;

namespace Hone.Training.Training;

/// <summary>What a run has come to; it grows with each step. A checkpoint is this with the vectors.</summary>
internal sealed class TrainProgress
{
    private readonly List<double> _losses = [];
    private readonly List<double> _accuracies = [];
    private readonly List<EvaluationPoint> _evaluations = [];
    private readonly List<string> _warnings = [];

    public TrainProgress()
    {
    }

    [JsonConstructor]
    public TrainProgress(int step, long tokens, long trainedTokens, double seconds, IReadOnlyList<double> losses, IReadOnlyList<EvaluationPoint> evaluations, IReadOnlyList<string> warnings, IReadOnlyList<double>? accuracies = null)
    {
        (Step, Tokens, TrainedTokens, Seconds) = (step, tokens, trainedTokens, seconds);
        _losses = [.. losses];
        _accuracies = [.. accuracies ?? []];
        _evaluations = [.. evaluations];
        _warnings = [.. warnings];
    }

    /// <summary>Steps done.</summary>
    public int Step { get; private set; }

    /// <summary>Tokens computed: distinct prefixes.</summary>
    public long Tokens { get; private set; }
    public long TrainedTokens { get; private set; }
    public double Seconds { get; private set; }

    /// <summary>One a step.</summary>
    public IReadOnlyList<double> Losses => _losses;

    /// <summary>One a step; fewer where the run was begun by a version that kept none: then the last ones.</summary>
    public IReadOnlyList<double> Accuracies => _accuracies;
    public IReadOnlyList<EvaluationPoint> Evaluations => _evaluations;

    /// <summary>What the run has warned of.</summary>
    public IReadOnlyList<string> Warnings => _warnings;

    /// <summary>Null before the run begins. A checkpoint holds it as a tensor.</summary>
    [JsonIgnore]
    public RowLosses? RowLosses { get; set; }

    /// <summary>With preference pairs alone. A checkpoint holds it as a tensor.</summary>
    [JsonIgnore]
    public ReferenceLogProbabilities? Reference { get; set; }

    public void Begin(int rows, bool preferencePairs)
    {
        RowLosses ??= new RowLosses(rows);
        if (preferencePairs)
            Reference ??= new ReferenceLogProbabilities(rows);
    }

    /// <param name="rows">Those of the step.</param>
    public void Add(int step, IReadOnlyList<int> rows, StepResult result, double seconds)
    {
        Step = step;
        Tokens += result.Tokens;
        TrainedTokens += result.TrainedTokens;
        Seconds += seconds;
        _losses.Add(result.Loss);
        _accuracies.Add(result.Accuracy);
        for (int i = 0; i < rows.Count; i++)
            RowLosses!.Record(rows[i], step, result.RowLosses[i]);
    }

    public void Add(EvaluationPoint point) => _evaluations.Add(point);

    public void Warn(string text) => _warnings.Add(text);
}
