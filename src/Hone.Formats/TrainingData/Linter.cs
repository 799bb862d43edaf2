using Hone.Formats.Adapters;
using Hone.Formats.Jobs;
using Hone.Formats.Models;

namespace Hone.Formats.TrainingData;

public sealed record LintRequest
{
    /// <summary>Null: only a validation file is checked, which is known before the training file.</summary>
    public string? TrainingPath { get; init; }

    public string? ValidationPath { get; init; }

    /// <summary>What the rows shall teach; null: only their form is checked.</summary>
    public BaseModel? Model { get; init; }

    public TrainingConfig Config { get; init; } = new();

    public int MinTrainingRows { get; init; } = 10;

    public int MinValidationRows { get; init; } = 1;
}

/// <summary>Says everything that is wrong with training and validation files, in one pass over each and memory of one line and, to find repeated ones, two hashes a row.</summary>
public static class Linter
{
    /// <exception cref="IOException">A file cannot be read.</exception>
    public static LintReport Lint(LintRequest request, CancellationToken cancellationToken = default)
    {
        if (request.TrainingPath is null && request.ValidationPath is null)
            throw new ArgumentException("Name a training file, a validation file, or both.", nameof(request));
        RowEncoder? NewEncoder() => request.Model is { } model ? RowEncoder.For(model, request.Config) : null;
        var errors = new List<LintIssue>();
        var warnings = new List<LintIssue>();
        if (request.Model is { } given)
        {
            if (request.Config.MaxLength > given.ContextLength)
                errors.Add(new(null, null, null, "max_length_over_context", $"max_length is {request.Config.MaxLength:N0}, the base model reads {given.ContextLength:N0} tokens.", "Lower max_length, or leave it out."));
            errors.AddRange(AdapterTargets.Errors(request.Config.TargetModules, request.Config.LayersToTransform, given.Weights)
                .Select(error => new LintIssue(null, null, null, "not_in_base_model", error.Message, error.Hint)));
        }
        FileLint? training = null, validation = null;
        if (request.TrainingPath is { } trainingPath)
        {
            training = new FileLint(request, file: null, request.MinTrainingRows, NewEncoder(), null);
            training.Run(trainingPath, cancellationToken);
            training.Finish(errors, warnings);
        }
        if (request.ValidationPath is { } validationPath)
        {
            validation = new FileLint(request, file: LintIssue.ValidationFile, request.MinValidationRows, NewEncoder(), training);
            validation.Run(validationPath, cancellationToken);
            validation.Finish(errors, warnings);
        }
        if (request is { TrainingPath: not null, ValidationPath: null } && Unused(request.Config) is { } unused)
            warnings.Add(new(null, null, null, "no_validation_rows", $"the config's {unused} has no effect: there are no validation rows.", "Give validation rows, or take it out of the config."));
        var main = training ?? validation!;
        return new LintReport
        {
            Errors = errors,
            Warnings = warnings,
            Stats = new LintStats
            {
                Rows = training?.Rows ?? 0,
                ValidationRows = validation?.Rows,
                BlankLines = main.BlankLines,
                Bytes = main.Bytes,
                Kinds = main.Kinds,
                DuplicateRows = main.DuplicateRows,
                ValidationRowsInTraining = training is null ? null : validation?.RowsInTraining,
                Tokens = main.Tokens,
                ErrorCount = (training?.Issues.ErrorCount ?? 0) + (validation?.Issues.ErrorCount ?? 0),
                WarningCount = (training?.Issues.WarningCount ?? 0) + (validation?.Issues.WarningCount ?? 0),
            },
        };
    }

    /// <summary>A setting that is given and needs validation rows.</summary>
    private static string? Unused(TrainingConfig config) => config.StopWhenWorse == true ? "stop_when_worse" : config.EvalEvery is not null ? "eval_every" : null;
}
